/** @file How the tests and the pages' code run: on the TypeScript sources of every package, so that no build is needed first. */

import { defineConfig, type ViteUserConfig } from 'vitest/config';
import { pagesWithFences } from './docs/fences/fences.ts';
import { pagesAsTests } from './docs/fences/plugin.ts';
import { sources } from './test/support/sources.ts';

const config: ViteUserConfig = defineConfig({
  resolve: { alias: sources },
  test: {
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'docs/**/*.test.ts'],
        },
      },
      {
        extends: true,
        plugins: [pagesAsTests()],
        // The packages are imported once for many pages.
        test: { name: 'pages', include: pagesWithFences(), isolate: false, testTimeout: 120_000 },
      },
    ],
    silent: 'passed-only',
    setupFiles: ['test/support/seed.ts'],
    testTimeout: 60_000,
  },
});
export default config;
