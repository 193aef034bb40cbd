/** @file Folders of adapters: what is written into a file in place is noticed, also under its old time. */

import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { openModel } from '@onnx-lora/sdk';
import { afterAll, expect, it } from 'vitest';
import { RunFolders } from './runFolders.ts';

/** The time of the last change that the file has before and after, in seconds. */
const OLD = 1_700_000_000;
const folder = mkdtempSync(path.join(tmpdir(), 'run-folders-'));
afterAll(() => rmSync(folder, { recursive: true }));

it('an adapter whose file is written in place, with its old size and time, is another version', async () => {
  const model = await openModel(await publishModel(path.join(folder, 'model'), { model: linearNet() }));
  const adapter = await randomAdapter(model, { lora: { r: 2, targetModules: ['encoder.0'] } });
  const runs = path.join(folder, 'runs');
  await adapter.save(path.join(runs, 'one'));
  const file = path.join(runs, 'one', 'adapter_model.safetensors');
  utimesSync(file, OLD, OLD);
  const folders = new RunFolders(runs);
  const before = await folders.resolve('one');
  expect((await folders.resolve('one')).digest).toBe(before.digest);
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
  utimesSync(file, OLD, OLD);
  const after = await folders.resolve('one');
  expect(after.digest).not.toBe(before.digest);
  await expect(folders.load(before.key)).rejects.toThrow('was exchanged');
  expect((await folders.load(after.key)).tensors.size).toBe(adapter.tensors.size);
});
