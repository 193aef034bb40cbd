/** @file How the tests and the pages' code run: on the TypeScript sources of every package, so that no build is needed first. */

import { availableParallelism } from 'node:os';
import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { pagesWithFences } from './docs/fences/fences.ts';
import { pagesAsTests } from './docs/fences/plugin.ts';
import { sources } from './test/support/sources.ts';
import { testFiles } from './test/support/testFiles.ts';

const { shared, alone, programs } = testFiles();
/** A file for the results, beside what is printed. */
const report = process.env['TEST_REPORT'];

const config: ViteUserConfig = defineConfig({
  resolve: { alias: sources },
  test: {
    pool: 'forks',
    // Vitest would leave a core to itself, which has little to do.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      // The packages are imported once for many files.
      { extends: true, test: { name: 'tests', include: shared, isolate: false } },
      { extends: true, test: { name: 'alone', include: alone } },
      { extends: true, test: { name: 'programs', include: programs, globalSetup: 'test/support/build.ts' } },
      {
        extends: true,
        plugins: [pagesAsTests()],
        test: { name: 'pages', include: pagesWithFences(), isolate: false, testTimeout: 120_000 },
      },
    ],
    // A thread for each session: two files beside each other would else take each other's cores.
    env: { ONNX_LORA_THREADS: '1' },
    silent: 'passed-only',
    ...(report !== undefined && { reporters: ['default', 'json'], outputFile: { json: report } }),
    setupFiles: ['test/support/seed.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
export default config;
