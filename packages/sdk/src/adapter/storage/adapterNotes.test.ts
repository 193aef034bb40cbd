/** @file An adapter's notes of its input sizes in training: saved, combined, and refused where invalid. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it, test } from 'vitest';
import { float32 } from '../../runtime/tensor.ts';
import { Adapter } from '../adapter.ts';
import { type AdapterNotes, parseNotes } from './adapterNotes.ts';
import { combineAdapters } from '../combine/combine.ts';
import { negate } from '../combine/negate.ts';
import { adapterConfig } from '../formats/peftConfig.ts';
import { readAdapter } from './readAdapter.ts';
import { tensorName } from '../formats/tensorNames.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-notes-'));
afterAll(() => rmSync(folder, { recursive: true }));
const five = { inputSizes: { input_features: { 2: 500 } } };

function adapterWith(notes: AdapterNotes): Adapter {
  const tensors = new Map([
    [tensorName('q', 'lora_A'), float32([1, 2], [1, 2])],
    [tensorName('q', 'lora_B'), float32([3, 4], [2, 1])],
  ]);
  return new Adapter(adapterConfig({ r: 1, loraAlpha: 1, targetModules: ['q'] }), tensors, undefined, notes);
}

test('they come back from the folder, where PEFT reads no more than texts by name', async () => {
  const notes = { task: 'speech-recognition', ...five };
  await adapterWith(notes).save(folder);
  expect((await readAdapter(folder)).notes).toEqual(notes);
  const bytes = readFileSync(path.join(folder, 'adapter_model.safetensors'));
  const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()) as Record<string, object>; // prettier-ignore
  expect(Object.values(header['__metadata__']!).every((value) => typeof value === 'string')).toBe(true);
});

describe('what is no size', () => {
  it.each(['[]', '{"x":[1]}', '{"x":{"2":0}}', '{"x":{"2":1.5}}', '{"x":{"2":1e99}}', '{"x":{"-1":3}}', '{"x":', '7'])(
    'is refused: %s',
    (text) => {
      expect(() => parseNotes({ 'onnx_lora.input_sizes': text }, 'mine')).toThrow(/"mine".*onnx_lora\.input_sizes/);
    },
  );
});

test('an adapter made of several keeps to sizes that all of them were trained with', () => {
  const combined = (...all: readonly AdapterNotes[]): AdapterNotes['inputSizes'] =>
    combineAdapters(all.map((notes) => ({ adapter: adapterWith(notes) })), { method: 'linear' }).notes.inputSizes; // prettier-ignore
  expect(combined(five, five)).toEqual(five.inputSizes);
  expect(combined(five)).toEqual(five.inputSizes);
  expect(combined(five, {})).toBeUndefined();
  expect(combined({}, five)).toBeUndefined();
  expect(combined(five, { inputSizes: { input_features: { 2: 800 } } })).toBeUndefined();
  expect(negate(adapterWith(five)).notes).toEqual(five);
});
