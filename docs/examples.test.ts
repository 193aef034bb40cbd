/** @file Every example runs to its end, built as a user's own program would be, in an empty folder. */

import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isNightly } from '../test/support/nightly.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const examples = (await readdir(join(root, 'docs/examples')))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length));
const tutorials = readdirSync(join(root, 'docs/tutorials'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => readFileSync(join(root, 'docs/tutorials', name), 'utf8'))
  .join();
/** Tutorials tell the journeys of their examples, and their commands run in the tests too. */
const told = (name: string): boolean => tutorials.includes(`docs/examples/dist/${name}.js`);

/** Those that a change runs, too: the README's own, and what takes seconds. The guides' fences run the same calls as the others. */
const everyChange = new Set('quickstart plugin serve testPlugin'.split(' '));

/** Required output of an example, as its page shows it. */
const says: Readonly<Record<string, RegExp>> = {
  // The index, in the last column, is about as good as the right adapter for each.
  mixture:
    /turned [^\n]+'8[3-9]\.\d%' │\n[^\n]+inverted [^\n]+'8\d\.\d%' │\n[^\n]+shrunken [^\n]+'(?:8[7-9]|9\d)\.\d%' │\n[^\n]+striped [^\n]+'9\d\.\d%' │/,
  // Random labels are learned by heart, but no better than by guessing where there are many; the right ones are learned.
  notLearning:
    /heart: +loss \d\.\d\d to 0\.0\d\n[^]+Rate 0\.005: +loss \d\.\d\d to 2\.[^]+Mended: +.* to 0\.\d\d, accuracy 0\.[5-9]/,
};

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'onnx-lora-examples-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('there is a quickstart', () => {
  expect(examples).toContain('quickstart');
});

test.each(examples.filter((name) => isNightly || (everyChange.has(name) && !told(name))))(
  'docs/examples/%s.ts',
  { timeout: 600_000 },
  async (name) => {
    const program = join(root, `docs/examples/dist/${name}.js`);
    const { stdout } = await run(process.execPath, ['--enable-source-maps', program], { cwd: folder });
    expect(stdout).toMatch(says[name] ?? /./);
  },
);

const stamps = join(root, '../shared/data/stamps');
test.runIf(isNightly && existsSync(stamps))(
  'docs/examples/baselines.ts on pictures with a manifest',
  { timeout: 300_000 },
  async () => {
    const program = join(root, 'docs/examples/dist/baselines.js');
    const { stdout } = await run(process.execPath, ['--enable-source-maps', program, stamps], { cwd: folder });
    expect(stdout).toMatch(/^180 training images, 60 held out\n\n(?:[a-zA-Z ]+\d+\.\d% .*\n){3}$/);
  },
);
