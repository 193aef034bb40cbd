/** @file Sweeps as users run them: killed with SIGKILL again and again, they end with the table of one that never was; stopped, they continue. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeDigits } from './fixtures/digits.ts';
import { isNightly } from './support/nightly.ts';
import { tableOf } from './support/sweepTable.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const command = path.join(root, 'packages/cli/bin/onnx-lora.js');
const model = path.join(root, 'docs/examples/models/vit-mnist');

/** 24 trials of 8 configurations; 4 of 2 for each change. */
const tried = isNightly
  ? '{ methods: { lora: { r: [2, 4] }, ia3: , loha: { r: 2 } }, try: { lr: [3e-3, 3e-2] }, seeds: 3, parallel: 2 }'
  : '{ methods: { lora: { r: 2 }, ia3: }, try: { lr: 3e-2 }, seeds: 2, parallel: 2 }';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-sweep-'));
  writeDigits(path.join(folder, 'digits/train'), { perClass: 3, turned: true });
  writeDigits(path.join(folder, 'digits/test'), { perClass: 2, from: 820, turned: true });
  const settings = `model: ${model}\ndata: ${path.join(folder, 'digits')}\nsteps: 8\nbatch-size: 10\nthreads: 1\ncheckpoint-every: 2`;
  writeFileSync(path.join(folder, 'sweep.yaml'), `${settings}\nsweep: ${tried}\n`);
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 }));

interface Ending {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  readonly stderr: string;
}

function sweep(out: string): { child: ChildProcess; ended: Promise<Ending> } {
  const words = [
    command,
    'sweep',
    '--config',
    path.join(folder, 'sweep.yaml'),
    '--out',
    path.join(folder, out),
    '--json',
  ];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
  return { child, ended: new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stderr }))) }; // prettier-ignore
}

interface Entry {
  readonly status: string;
}
const journalOf = (out: string): Entry[] => {
  try {
    const { trials } = JSON.parse(readFileSync(path.join(folder, out, 'sweep.json'), 'utf8')) as { trials: Record<string, Entry> }; // prettier-ignore
    return Object.values(trials);
  } catch {
    return [];
  }
};

/** Ends the trials of a sweep too, as a power cut would. */
function killTrials(out: string): void {
  const trials = path.join(folder, out, 'trials');
  for (const name of readdirSync(trials)) {
    try {
      const { pid } = JSON.parse(readFileSync(path.join(trials, name, 'run.lock'), 'utf8')) as { pid: number };
      process.kill(pid, 'SIGKILL');
    } catch {
      // It does not run.
    }
  }
}

it.runIf(isNightly)('SIGKILL at any moment changes nothing', { timeout: 3_600_000 }, async () => {
  const since = performance.now();
  const whole = await sweep('whole').ended;
  expect(whole).toMatchObject({ code: 0 });
  const count = journalOf('whole').length;
  expect(count).toBe(24);
  const perTrial = (2 * (performance.now() - since)) / count;

  let kills = 0;
  while (kills < 3) {
    const done = (): number => journalOf('killed').filter(({ status }) => status === 'done').length;
    const before = done();
    const { child, ended } = sweep('killed');
    let isOver = false;
    void ended.then(() => (isOver = true));
    // At any moment of a trial: in the first of all, and then once another one is done.
    const isUnderWay = (): boolean => journalOf('killed').some(({ status }) => status === 'begun') && (kills === 0 || done() > before); // prettier-ignore
    while (!isOver && !isUnderWay()) await setTimeout(20);
    await setTimeout(Math.random() * perTrial);
    child.kill('SIGKILL');
    if (kills === 1) killTrials('killed');
    const { signal } = await ended;
    if (signal !== 'SIGKILL') break;
    kills++;
  }
  expect(kills).toBeGreaterThan(isNightly ? 2 : 0);
  const last = await sweep('killed').ended;
  expect(last).toMatchObject({ code: 0 });
  expect(tableOf(path.join(folder, 'killed'))).toEqual(tableOf(path.join(folder, 'whole')));

  // Finished trials are not run again.
  const withoutSeconds = (): object => {
    const { seconds: _, ...journal } = JSON.parse(readFileSync(path.join(folder, 'killed/sweep.json'), 'utf8')) as { seconds: number }; // prettier-ignore
    return journal;
  };
  const journal = withoutSeconds();
  const again = await sweep('killed').ended;
  expect(again.stderr).toContain(`; ${count} are done`);
  expect(withoutSeconds()).toEqual(journal);

  // In words it ends with where all is, the verdict last.
  const words = [command, 'sweep', '--config', path.join(folder, 'sweep.yaml'), '--out', path.join(folder, 'killed')];
  const { stdout } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect(stdout).toMatch(new RegExp(`^${count} of ${count} trials done in \\d+:\\d\\d\\.\\n`));
  const trials = /^runs {3}(.*), each with its adapter and report$/m.exec(stdout)![1]!;
  expect(readdirSync(trials)).toHaveLength(count);
  expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/the base/);
});

it('Ctrl-C lets trials save, and exits as shells have it', { timeout: 600_000 }, async () => {
  const { child, ended } = sweep('stopped');
  while (journalOf('stopped').length === 0) await setTimeout(20);
  await setTimeout(500);
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('To continue, give the same command again.') }); // prettier-ignore
});

it.each(['rates', 'ranks', 'alphas', 'methods'])('docs/examples/sweeps/%s.yaml can be made', async (name) => {
  const place = path.join(folder, name);
  mkdirSync(place);
  symlinkSync(path.join(root, 'docs'), path.join(place, 'docs'), 'junction');
  for (const data of ['turned', 'turned-few'])
    symlinkSync(path.join(folder, 'digits'), path.join(place, data), 'junction');
  const words = [command, 'sweep', '--config', `docs/examples/sweeps/${name}.yaml`, '--plan', '--json'];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: place, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const expected = { rates: 30, ranks: 30, alphas: 27, methods: 36 }[name];
  expect(JSON.parse(stdout)).toMatchObject({ trials: expected });
});
