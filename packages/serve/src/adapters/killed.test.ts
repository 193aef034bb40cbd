/** @file A store whose process is killed: what it has acknowledged is there, and nothing is there by half. */

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { openModel, OrtRuntime } from '@onnx-lora/sdk';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { build } from 'vite';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AdapterStore } from './store.ts';
import { isNightly } from '../../../../test/support/nightly.ts';

const packages = path.join(import.meta.dirname, '../../..');
let scratch = '';
beforeAll(async () => {
  // Among the build's output, where it finds onnxruntime-node and git finds nothing.
  const dist = path.join(packages, 'serve/dist');
  mkdirSync(dist, { recursive: true });
  scratch = mkdtempSync(path.join(dist, 'killed-test-'));
  const ssr = path.join(packages, 'serve/fixtures/killedStore.ts');
  const alias = [
    { find: /^@onnx-lora\/sdk$/, replacement: `${packages}/sdk/src/index.ts` },
    { find: /^@onnx-lora\/sdk\/(\w+)$/, replacement: `${packages}/sdk/src/$1.ts` },
  ];
  await build({ configFile: false, logLevel: 'error', resolve: { alias }, build: { ssr, outDir: scratch, target: 'node20' } }); // prettier-ignore
  const model = await openModel(await publishModel(path.join(scratch, 'net'), { model: linearNet() }), { runtime: new OrtRuntime() }); // prettier-ignore
  for (const seed of [0, 1, 2]) await (await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' }, seed })).save(path.join(scratch, 'adapters', String(seed))); // prettier-ignore
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Output of the program, and whether it was killed. */
async function run(root: string, at: number): Promise<{ said: string[]; wasKilled: boolean }> {
  const words = [path.join(scratch, 'killedStore.js'), root, path.join(scratch, 'adapters'), String(at)];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => child.once('close', (...ended) => resolve(ended))); // prettier-ignore
  expect(code === 0 || signal === 'SIGKILL').toBe(true);
  return { said: said.split('\n').filter((line) => line !== ''), wasKilled: signal !== null };
}

it('SIGKILL at any call leaves what was acknowledged', { timeout: 600_000 }, async () => {
  const step = isNightly ? 1 : 9;
  let kills = 0;
  let isWhole = false;
  for (let at = 2; !isWhole; at += step) {
    const root = path.join(scratch, `store-${at}`);
    const { said, wasKilled } = await run(root, at);
    isWhole = !wasKilled;
    if (wasKilled) kills++;
    await using store = await AdapterStore.open(root);
    expect(readdirSync(root).filter((name) => ['~incoming', '~removed'].includes(name))).toEqual([]);
    const keys = (await store.list()).map(({ key }) => key);
    // All that is there is whole.
    for (const key of keys) expect((await store.load(key)).tensors.size).toBeGreaterThan(0);
    const lost = said.filter((line) => line.startsWith('lost ')).map((line) => line.slice(5));
    const has = said.filter((line) => line.startsWith('has ')).map((line) => line.slice(4));
    const isLosing = has.length === 3;
    expect(keys).toEqual(expect.arrayContaining(isLosing ? has.slice(1) : has));
    for (const key of lost) expect(keys).not.toContain(key);
    // A name stands for what was acknowledged last, or for what came after it.
    if (has.length > 0) expect([has[0], has[1] ?? keys.find((key) => key.startsWith('a@') && key !== has[0])]).toContain((await store.resolve('a')).key); // prettier-ignore
    if (has.length > 1) expect((await store.resolve('a')).key).toBe(has[1]);
    if (said.includes('whole')) expect(store.splits).toEqual({});
    else if (said.includes('split') && has.length === 2) expect(Object.keys(store.splits)).toEqual(['b']);
    if (isWhole) expect(said).toHaveLength(6);
  }
  expect(kills).toBeGreaterThan(60 / step);
});
