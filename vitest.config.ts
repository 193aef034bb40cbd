import { defineConfig } from 'vitest/config';

const conditions = ['@onnx-lora/source', 'node', 'import', 'module', 'default'];

/** Tests read the TypeScript sources of every package directly: no build is needed first. */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts', 'docs/**/*.test.ts'],
    pool: 'forks',
    testTimeout: 60_000,
  },
});
