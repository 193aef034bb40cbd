/** @file Builds the packages once, before the tests that run programs as users have them. */

import { execFileSync } from 'node:child_process';
import path from 'node:path';

const root = path.join(import.meta.dirname, '../..');

/** Builds like `npm run build`, and leaves existing output alone. */
export function setup(): void {
  for (const words of [
    ['node_modules/@typescript/native/bin/tsc', '-b', 'tsconfig.build.json'],
    ['packages/sdk/bundle.mjs'],
  ]) {
    execFileSync(process.execPath, words, { cwd: root });
  }
}
