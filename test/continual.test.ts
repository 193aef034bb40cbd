/** @file Tasks in a row as users run them: killed with SIGKILL again and again, they end with the bytes of a run that never was; stopped, they continue. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeDigits } from './fixtures/digits.ts';
import { isNightly } from './support/nightly.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const command = path.join(root, 'packages/cli/bin/onnx-lora.js');
const model = path.join(root, 'docs/examples/models/vit-mnist');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-continual-'));
  for (const turned of [true, false]) {
    const kind = path.join(folder, turned ? 'turned' : 'upright');
    writeDigits(path.join(kind, 'train'), { perClass: 3, turned });
    writeDigits(path.join(kind, 'test'), { perClass: 2, from: 820, turned });
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 }));

interface Ending {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  readonly stderr: string;
}

function learn(method: string, out: string): { child: ChildProcess; ended: Promise<Ending> } {
  const config = path.join(folder, `${method}.yaml`);
  const tasks = `{ turned: "${path.join(folder, 'turned')}", upright: "${path.join(folder, 'upright')}" }`;
  writeFileSync(config, `model: ${model}\nsteps: 12\nbatch-size: 10\nthreads: 1\ncheckpoint-every: 3\ntargets: all-linear\ncontinual: { method: ${method}, tasks: ${tasks} }\n`); // prettier-ignore
  const words = [command, 'continual', '--config', config, '--out', path.join(folder, out), '--json'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr!.on('data', (text: Buffer) => (stderr += text.toString()));
  return { child, ended: new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stderr }))) }; // prettier-ignore
}

/** Waits until it says so, or has ended. */
async function told({ stderr }: ChildProcess, sign: string): Promise<void> {
  let said = '';
  for await (const text of stderr!.iterator({ destroyOnReturn: false }))
    if ((said += String(text)).includes(sign)) return;
}

const resultOf = (out: string): string[] =>
  ['adapter/adapter_model.safetensors', 'adapter/adapter_config.json', 'matrix.json', 'matrix.csv'].map((name) =>
    readFileSync(path.join(folder, out, name), 'latin1'),
  );

it.runIf(isNightly).each(['sequential', 'replay', 'o-lora', 'inf-lora', 'sd-lora', 'ewc', 'merge'])(
  'SIGKILL at any moment changes nothing: %s',
  { timeout: 3_600_000 },
  async (method) => {
    const since = performance.now();
    expect(await learn(method, `${method}-whole`).ended).toMatchObject({ code: 0 });
    const time = performance.now() - since;
    let kills = 0;
    // Behind a step of each task, then at any moment.
    for (const sign of ['task 1 of 2', 'task 2 of 2', '', '', '']) {
      const { child, ended } = learn(method, `${method}-killed`);
      let isOver = false;
      void ended.then(() => (isOver = true));
      if (sign !== '') await told(child, sign);
      await setTimeout(Math.random() * time * (sign === '' ? 0.8 : 0.05));
      if (!isOver) child.kill('SIGKILL');
      if ((await ended).signal === 'SIGKILL') kills++;
    }
    expect(kills).toBeGreaterThan(0);
    expect(await learn(method, `${method}-killed`).ended).toMatchObject({ code: 0 });
    expect(resultOf(`${method}-killed`)).toEqual(resultOf(`${method}-whole`));
  },
);

it('Ctrl-C saves, exits as shells have it, and the same command continues', { timeout: 600_000 }, async () => {
  const { child, ended } = learn('ewc', 'stopped');
  await told(child, 'task 1 of 2');
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  expect({ code, stderr }).toMatchObject({ code: 130, stderr: expect.stringContaining('To continue, give the same command again.') }); // prettier-ignore
  expect(await learn('ewc', 'stopped').ended).toMatchObject({ code: 0 });
  expect(await learn('ewc', 'whole').ended).toMatchObject({ code: 0 });
  expect(resultOf('stopped')).toEqual(resultOf('whole'));
});
