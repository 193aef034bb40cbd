/** @file A short run of the fuzzer finds nothing in the parsers, and finds what it should in parsers that are broken. */

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build, type Plugin } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sources } from '../support/sources.ts';
import { targets } from './targets.ts';
import { isNightly } from '../support/nightly.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Among the other build output: there the program finds its packages, and git does not.
const dist = path.join(root, 'test/dist');
let folder = '';

beforeAll(() => {
  mkdirSync(dist, { recursive: true });
  folder = mkdtempSync(path.join(dist, 'fuzz-test-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function bundle(plugins: Plugin[] = []): Promise<void> {
  const [main, worker] = ['main', 'worker'].map((name) => path.join(root, 'test/fuzz', `${name}.ts`));
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    plugins,
    resolve: { alias: sources },
    build: { ssr: true, outDir: folder, emptyOutDir: true, rollupOptions: { input: { main: main!, worker: worker! } } },
  });
}

async function fuzz(...args: string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [path.join(folder, 'main.js'), ...args]);
    return { code: 0, stdout };
  } catch (error) {
    return error as { code: number; stdout: string };
  }
}

const count = isNightly ? 1000 : 150;

describe('the parsers of foreign bytes', () => {
  beforeAll(() => bundle(), 60_000);

  it.each(Object.keys(targets))(
    `%s survives ${count} damaged files`,
    async (target) => {
      const { code, stdout } = await fuzz(
        '--target',
        target,
        '--count',
        `${count}`,
        '--keep',
        path.join(folder, 'kept'),
      );
      const [, accepted, refused] = /(\d+) accepted, (\d+) refused, 0 failed/.exec(stdout) ?? [];
      expect(stdout).toContain(`${target}: ${count} inputs`);
      // Damage that always, or never, shows in the header would test little.
      expect(Math.min(Number(accepted), Number(refused))).toBeGreaterThan(count / 25);
      expect(code).toBe(0);
    },
    300_000,
  );

  it.each([
    ['--target', 'nothing'],
    ['--count', '0'],
    ['--seed', 'x'],
    ['--nonsense', '1'],
  ])('exits with 2 for %s %s', async (...args) => expect((await fuzz(...args)).code).toBe(2));
});

/** Targets that do wrong whenever the first byte of a file is 7. */
const faulty = `
  const kept = [];
  const wrongs = {
    sound: () => undefined,
    throwing: () => { throw new TypeError('seven'); },
    hanging: () => { for (;;); },
    greedy: () => new Uint8Array(1 << 22),
    hoarding: () => { for (let i = 0; i < 2e6; i++) kept.push({ i }); },
    crashing: () => { for (;;) kept.push(new Array(1000).fill(kept)); },
  };
  const mutate = (random, bytes) => { const copy = bytes.slice(); copy[0] = random.index(256); return copy; };
  export const targets = Object.fromEntries(Object.entries(wrongs).map(([name, wrong]) => [
    name, () => ({ seeds: [new Uint8Array(64)], mutate, run: ([first]) => { if (first === 7) wrong(); } }),
  ]));
  export const makeTarget = (name, root, folder) => targets[name](root, folder);
`;

describe('a broken parser', () => {
  beforeAll(
    () =>
      bundle([
        {
          name: 'faulty',
          enforce: 'pre',
          resolveId: (id, importer) =>
            id === './targets.ts' && importer?.includes('/test/fuzz/') ? '\0faulty' : undefined,
          load: (id) => (id === '\0faulty' ? faulty : undefined),
        },
      ]),
    60_000,
  );

  it.each([
    ['sound', undefined],
    ['throwing', /input \d+ threw TypeError: seven/],
    ['hanging', /input \d+ took more than 2 seconds/],
    ['greedy', /input \d+ asked for 4194304 bytes of arrays/],
    ['hoarding', /input \d+ took \d+ bytes of heap/],
    ['crashing', /input \d+ (?:ended the thread|took)/],
  ])(
    'that is %s',
    async (target, message) => {
      const kept = path.join(folder, 'kept', target);
      const { code, stdout } = await fuzz('--target', target, '--count', '400', '--keep', kept);
      expect(code).toBe(message ? 1 : 0);
      if (!message) return;
      expect(stdout).toMatch(message);
      const files = readdirSync(kept);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) expect(readFileSync(path.join(kept, file))[0]).toBe(7);
    },
    120_000,
  );
});
