/** @file Commands on a Ray cluster of three nodes on this machine. Skipped without Ray. */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RayJobs } from '@onnx-lora/cluster';
import { Random } from '@onnx-lora/sdk/data';
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

/** Processes of workers of a training: Node's, and the tasks that they belong to. */
function workersIn(cwd: string): number[] {
  const of = (pid: string): string => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (!environment.includes('ONNX_LORA_WORKER=part') || readlinkSync(`/proc/${pid}/cwd`) !== cwd) return '';
      return /^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
    } catch {
      return '';
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => [pid, of(pid)])
    .filter((pid, i, all) => pid !== '' && (i % 2 === 1 || all[i + 1] !== ''))
    .map(Number);
}

function lossesOf(run: string): [number, number][] {
  const lines = readFileSync(path.join(run, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const events = lines.map((line) => JSON.parse(line) as { type: string; step: number; loss: number });
  return events.flatMap(({ type, step, loss }): [number, number][] => (type === 'step' ? [[step, loss]] : []));
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
    ray = await startRay({ nodes: 3, cpus: 2 });
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

  it('a training by three workers, killed at random moments, is that of one machine bit for bit', async () => {
    const settings = ['--data', 'digits', '--batch-size', '4', '--accumulation-steps', '4', '--checkpoint-every', '20'];
    const words = ['train', model, ...settings, '--threads', '1', '--clip-norm', '1', '--json', '--steps', '400'];
    const far = call([...words, '--out', 'runs/shared', '--on', ray.address, '--workers', '3']);
    let killed = 0;
    const random = new Random(1);
    while (killed < 20 && far.child.exitCode === null) {
      await setTimeout(500 + 4000 * random.next());
      if (!existsSync(path.join(folder, 'runs/shared/config.yaml'))) continue;
      const found = workersIn(folder);
      const victim = found[Math.floor(random.next() * found.length)];
      if (victim === undefined) continue;
      process.kill(victim, 'SIGKILL');
      killed++;
    }
    const { code, stdout, stderr } = await far.ended;
    expect(stderr).toContain('in place of one that has died');
    expect(killed).toBeGreaterThan(5);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ steps: 400, endedBy: 'steps' });
    expect((await call([...words, '--out', 'runs/one']).ended).code).toBe(0);
    const [one, shared] = ['one', 'shared'].map((name) => path.join(folder, 'runs', name));
    for (const file of ['adapter/adapter_model.safetensors', 'checkpoints/step-400/training_state.safetensors'])
      expect(readFileSync(path.join(shared!, file)).equals(readFileSync(path.join(one!, file)))).toBe(true);
    expect(lossesOf(shared!)).toEqual(lossesOf(one!));
    // It goes on where there is no cluster.
    expect((await call(['train', '--resume', 'runs/shared', '--steps', '400', '--json']).ended).code).toBe(0);
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
