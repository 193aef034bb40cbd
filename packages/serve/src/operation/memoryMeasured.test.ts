/** @file The memory of a process that serves more adapters than it may hold. */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openModel } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { expect, it, onTestFinished } from 'vitest';
import { isNightly } from '../../../../test/support/nightly.ts';

const MEGABYTE = 2 ** 20;

/** A process that serves, and how much memory it had at most. */
async function served(
  folder: string,
  settings: object,
): Promise<{ url: string; most: () => number; now: () => number }> {
  const program = `
    import { openModel } from '@onnx-lora/sdk';
    import { serve } from '@onnx-lora/serve';
    const server = await serve(await openModel(${JSON.stringify(path.join(folder, 'net'))}), ${JSON.stringify({ adapters: path.join(folder, 'runs'), port: 0, threads: 1, ...settings })});
    console.log(server.url);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: path.join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').once('data', (text: string) => resolve(text.trim()));
    child.once('exit', () => reject(new Error('The server has ended.')));
  });
  const now = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) * 1024;
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, now())), 5);
  onTestFinished(() => clearInterval(timer));
  return { url, most: () => most, now };
}

const [INPUTS, ADAPTERS] = [1024, 150];

it.runIf(isNightly && process.platform === 'linux')(
  'stays below it with adapters of several times its size',
  { timeout: 300_000 },
  async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-memory-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const model = await openModel(
      await publishModel(path.join(folder, 'net'), { model: linearNet({ inputs: INPUTS, hidden: INPUTS, layers: 1 }) }),
    );
    mkdirSync(path.join(folder, 'runs'));
    for (let i = 0; i < ADAPTERS; i++)
      await (
        await randomAdapter(model, { lora: { r: 128, targetModules: ['encoder.0'] }, seed: i })
      ).save(path.join(folder, 'runs', `a${i}`));
    const expected = await model.session({ adapters: {} });
    onTestFinished(() => expected.release());
    const ask = async (url: string, adapter: number, rows: number): Promise<number> => {
      const data = Array.from({ length: rows * INPUTS }, (_, i) => Math.sin(i + adapter));
      const inputs = [{ name: 'x', datatype: 'FP32', shape: [rows, INPUTS], data }];
      const answer = await fetch(`${url}/v2/models/net:a${adapter}/infer`, {
        method: 'POST',
        body: JSON.stringify({ inputs }),
      });
      await answer.arrayBuffer();
      return answer.status;
    };
    /** Eight clients ask for all adapters, one after the other; those that are refused ask again a little later, so many times. */
    const load = async (url: string, retries = 0): Promise<Map<number, number>> => {
      const statuses = new Map<number, number>();
      let next = 0;
      const client = async (): Promise<void> => {
        while (next < 2 * ADAPTERS) {
          const at = next++;
          for (let tries = 0, status = 429; status === 429 && tries <= retries; tries++) {
            if (tries > 0) await delay(100);
            status = await ask(url, at % ADAPTERS, 1 + (at % 8));
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
          }
        }
      };
      await Promise.all(Array.from({ length: 8 }, client));
      return statuses;
    };
    const free = await served(folder, {});
    const alone = free.now();
    expect([...(await load(free.url)).keys()]).toEqual([200]);
    // Adapters of 1 MiB each, and what is made of them.
    expect(free.most()).toBeGreaterThan(3 * alone);

    // With fewer adapters in memory, nothing is refused for long, and less than every other request at all. It may be exceeded by the worker's
    // collected is what it may be passed by, here and below.
    const enough = Math.ceil(free.most() / 2);
    const bounded = await served(folder, { maxMemoryBytes: enough });
    const { [200]: answered, [429]: refused = 0, ...others } = Object.fromEntries(await load(bounded.url, 50));
    expect([answered, others]).toEqual([2 * ADAPTERS, {}]);
    expect(refused).toBeLessThan(2 * ADAPTERS);
    expect(bounded.most()).toBeLessThan(enough + 16 * MEGABYTE);
    // Hardly more than the model: many are refused, but one after the other all are answered.
    const little = Math.ceil(alone / 0.6);
    const tight = await served(folder, { maxMemoryBytes: little });
    const statuses = await load(tight.url);
    expect([...statuses.keys()].filter((status) => status !== 200 && status !== 429)).toEqual([]);
    for (let i = 0; i < 10; i++) expect(await ask(tight.url, 10 * i, 4)).toBe(200);
    expect(tight.most()).toBeLessThan(little + 32 * MEGABYTE);
  },
);
