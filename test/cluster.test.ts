/** @file Commands on a Ray cluster of three nodes on this machine. Skipped without Ray. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RayJobs } from '@onnx-lora/cluster';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeDigits } from './fixtures/digits.ts';
import { isNightly } from './support/nightly.ts';
import { type RayCluster, rayPython, startRay } from './support/rayCluster.ts';
import { tableOf } from './support/sweepTable.ts';

const root = path.join(import.meta.dirname, '..');
const command = path.join(root, 'packages/cli/bin/onnx-lora.js');
const model = path.join(root, 'docs/examples/models/vit-mnist');

interface Ending {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder = '';
let ray: RayCluster;

function call(words: readonly string[]): { child: ChildProcess; ended: Promise<Ending> } {
  const child = spawn(process.execPath, [command, ...words], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  return { child, ended: new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr }))) };
}

describe.runIf(rayPython !== undefined && isNightly)('on three nodes', { timeout: 900_000 }, () => {
  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-cluster-'));
    const classes = [3, 8, 9];
    writeDigits(path.join(folder, 'digits/train'), { perClass: 4, classes, turned: true });
    writeDigits(path.join(folder, 'digits/test'), { perClass: 4, from: 820, classes, turned: true });
    const settings = `model: ${model}\ndata: digits\nsteps: 8\nbatch-size: 6\nthreads: 1\ncheckpoint-every: 2`;
    const tried = '{ methods: { lora: { r: [2, 4] }, ia3: }, try: { lr: [3e-3, 3e-2] }, seeds: 2 }';
    writeFileSync(path.join(folder, 'sweep.yaml'), `${settings}\nsweep: ${tried}\n`);
    ray = await startRay({ nodes: 3, cpus: 1 });
  }, 120_000);
  afterAll(async () => {
    await ray?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 500 });
  }, 120_000);

  it('a sweep whose terminal leaves, and whose node is killed, ends with the table of one machine', async () => {
    const alone = await call(['sweep', '--config', 'sweep.yaml', '--out', 'runs/alone', '--json']).ended;
    expect(alone.code).toBe(0);
    const words = ['sweep', '--config', 'sweep.yaml', '--out', 'runs/far', '--on', ray.address, '--json'];
    const first = call(words);
    const trials = path.join(folder, 'runs/far/trials');
    const begun = (): number => {
      try {
        return readdirSync(trials).length;
      } catch {
        return 0;
      }
    };
    while (begun() < 3) {
      expect(first.child.exitCode).toBeNull();
      await setTimeout(100);
    }
    await ray.kill();
    first.child.kill('SIGINT');
    const left = await first.ended;
    expect(left.code).toBe(130);
    const [, id] = /--attach (\S+)/.exec(left.stderr)!;
    const { code, stdout, stderr } = await call([...words, '--attach', id!]).ended;
    expect(stderr).not.toContain('error');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ ending: 'done', trials: { all: 12, done: 12, failed: 0 } });
    expect(tableOf(path.join(folder, 'runs/far'))).toEqual(tableOf(path.join(folder, 'runs/alone')));
    expect((await new RayJobs(ray.address).status(id!)).exitCode).toBe(0);
  });

  it('a job can be stopped, and says what is wrong with its settings', async () => {
    const jobs = new RayJobs(ray.address);
    const id = await jobs.submit({ entrypoint: 'sleep 100' });
    expect(await call(['jobs', '--on', ray.address, '--stop', id]).ended).toMatchObject({ code: 0 });
    expect((await jobs.follow(id, () => undefined)).status).toBe('STOPPED');
    writeFileSync(path.join(folder, 'wrong.yaml'), `model: ${model}\ndata: nowhere\nsweep: { seeds: 2 }\n`);
    const { code, stdout } = await call(['sweep', '--config', 'wrong.yaml', '--on', ray.address]).ended;
    expect(code).toBe(2);
    expect(stdout).toContain('error: lora: ');
    expect(stdout).toContain('nowhere');
  });
});
