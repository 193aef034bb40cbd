/** @file How the tests run: on the TypeScript sources of every package, so that no build is needed first. */

import { defineConfig, type ViteUserConfig } from 'vitest/config';

const conditions = ['@onnx-lora/source', 'node', 'import', 'module', 'default'];

const config: ViteUserConfig = defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'docs/**/*.test.ts'],
    pool: 'forks',
    setupFiles: ['test/support/seed.ts'],
    testTimeout: 60_000,
  },
});
export default config;
