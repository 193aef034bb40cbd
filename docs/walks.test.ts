/** @file The walks of CONTRIBUTING are done in a copy of the repository, and its tests pass there. For the nightly run. */

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { walksOf } from './fences/diffs.ts';
import { root } from './fences/fences.ts';
import { isNightly } from '../test/support/nightly.ts';

let copy = '';

beforeAll(() => {
  if (!isNightly) return;
  copy = mkdtempSync(join(tmpdir(), 'onnx-lora-walks-'));
  const isSource = (file: string): boolean => !['node_modules', '.git', 'dist', 'site'].includes(basename(file));
  cpSync(root, copy, { recursive: true, filter: isSource });
  for (const folder of ['.', ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`)])
    if (existsSync(join(root, folder, 'node_modules')))
      symlinkSync(join(root, folder, 'node_modules'), join(copy, folder, 'node_modules'));
}, 120_000);
afterAll(() => {
  if (isNightly) rmSync(copy, { recursive: true, force: true });
});

test.runIf(isNightly).each(walksOf('CONTRIBUTING.md').map((walk) => [walk.title, walk] as const))(
  '%s',
  { timeout: 900_000 },
  (_, { files, checks }) => {
    for (const [file, content] of files) {
      mkdirSync(join(copy, dirname(file)), { recursive: true });
      writeFileSync(join(copy, file), content);
    }
    try {
      for (const words of checks) expect(run(['run', ...words.split(' ')])).toMatch(/Tests +\d+ passed/);
    } finally {
      for (const file of files.keys()) {
        if (existsSync(join(root, file))) cpSync(join(root, file), join(copy, file));
        else rmSync(join(copy, file));
      }
    }
  },
);

/** Runs vitest in the copy: its output. Fails with it. */
function run(words: readonly string[]): string {
  const { NIGHTLY: _, TEST_REPORT: __, ...env } = process.env;
  const program = join(root, 'node_modules/vitest/vitest.mjs');
  try {
    return execFileSync(process.execPath, [program, ...words, '--no-color'], { cwd: copy, env, encoding: 'utf8', stdio: 'pipe' }); // prettier-ignore
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`vitest ${words.join(' ')}\n${`${stdout}${stderr}`.slice(-6000)}`, {
      cause: error,
    });
  }
}
