/** @file The tasks' feeds and losses beside those of PEFT on torch, where the oracle is present. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadAdapter, openModel, type Tensor } from '@onnx-lora/sdk';
import type { PreparedTask, Task } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { EsmTokenizer, type SequenceTokenizer } from '@onnx-lora/sequences';
import { describe, expect, test } from 'vitest';
import type { SequenceData, SequenceRecord } from '../data/sequenceRecord.ts';
import { sequenceClassification, sequenceRegression } from './classification/sequenceTasks.ts';

const cases = fileURLToPath(new URL('../../../../../shared/oracle/cases/', import.meta.url));
const isThere = existsSync(cases);
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** A tokenizer whose letters are the characters from `0` on: `0` is id 0. */
function numbered(base: SequenceTokenizer): SequenceTokenizer {
  const numbersOf = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0) - 48);
  return {
    ...base,
    size: 60,
    padId: 1,
    added: { single: 2, pair: 4 },
    tokens: (text) => ({
      ids: numbersOf(text),
      starts: [...text].map((_, i) => i),
      ends: [...text].map((_, i) => i + 1),
    }),
    framed: (ids) => ({ ids: [0, ...ids, 2], types: [0, ...ids.map(() => 0), 0], firstAt: 1 }),
  };
}

/** The sequences of a case as records: ids between the special tokens as letters. */
function sequencesOf({ data, dims }: Tensor, letterOf: (id: number) => string): string[] {
  const [rows, length] = dims as [number, number];
  return Array.from({ length: rows }, (_, row) =>
    Array.from(data.slice(row * length, (row + 1) * length), Number)
      .filter((id) => id > 2)
      .map(letterOf)
      .join(''),
  );
}

interface Found {
  readonly prepared: PreparedTask;
  readonly loss: number;
  readonly inputs: Readonly<Record<string, Tensor>>;
}

/** The task's own batch of all records, and its loss with the case's adapter. */
async function lossOf(name: string, task: Task): Promise<Found> {
  const model = await openModel(`${cases}${name}/model.onnx`);
  const placed = await model.place(await loadAdapter(`${cases}${name}/adapter`));
  const prepared = await task.prepare(model);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => prepared.loss(g, outputs, targets),
    lossWeight: (targets) => prepared.lossWeight!(targets),
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name,
  });
  try {
    const examples = await Promise.all(
      Array.from({ length: prepared.train.length }, (_, i) => prepared.train.get(i, i)),
    );
    const { inputs, targets } = await prepared.collate(examples);
    const { loss } = await trainer.lossAndGradients(inputs, targets);
    return { prepared, loss, inputs };
  } finally {
    await trainer.release();
  }
}

async function tensorsOf(name: string, file: string): Promise<ReadonlyMap<string, Tensor>> {
  return (await readSafetensors(`${cases}${name}/${file}.safetensors`)).tensors;
}

const record = (sequence: string, i: number): Omit<SequenceRecord, 'labels' | 'values'> => ({
  id: String(i),
  where: `record ${i}`,
  sequence,
});
const data = (train: readonly SequenceRecord[]): SequenceData => ({ train, warnings: [] });

describe.skipIf(!isThere)('tasks beside PEFT (needs ../shared beside the checkout)', () => {
  test('classes: ESM-2 with a trained head', async () => {
    const name = 'esm2-seqclass-v4';
    const tokenizer = await EsmTokenizer.read(`${fixtures}esmMasked`);
    const inputs = await tensorsOf(name, 'inputs');
    const labels = Array.from(inputs.get('labels')!.data, Number);
    const sequences = sequencesOf(inputs.get('input_ids')!, (id) => tokenizer.tokenOf(id)!);
    const records = sequences.map((sequence, i) => ({ ...record(sequence, i), labels: [String(labels[i])] }));
    const found = await lossOf(name, sequenceClassification(data(records), { tokenizer, head: 'keep' }));
    for (const port of ['input_ids', 'attention_mask']) expect(found.inputs[port]).toEqual(inputs.get(port));
    expect(found.loss).toBeCloseTo(Number((await tensorsOf(name, 'expected')).get('lora.loss')!.data[0]), 4);
  });

  test.each(['esm2-regression-v4', 'chemberta-regression-v4'])('numbers: %s', async (name) => {
    const esm = await EsmTokenizer.read(`${fixtures}esmMasked`);
    const isEsm = name.startsWith('esm');
    const tokenizer = isEsm ? esm : numbered(esm);
    const inputs = await tensorsOf(name, 'inputs');
    const values = Array.from(inputs.get('labels')!.data as Float32Array);
    const letterOf = (id: number): string => (isEsm ? esm.tokenOf(id)! : String.fromCharCode(48 + id));
    const records = sequencesOf(inputs.get('input_ids')!, letterOf).map((sequence, i) => ({
      ...record(sequence, i),
      values: [values[i]!],
    }));
    const found = await lossOf(name, sequenceRegression(data(records), { tokenizer, head: 'keep' }));
    for (const port of ['input_ids', 'attention_mask']) expect(found.inputs[port]).toEqual(inputs.get(port));
    // The task's loss counts in deviations of the data.
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const expected = Number((await tensorsOf(name, 'expected')).get('lora.loss')!.data[0]);
    expect(found.loss * variance).toBeCloseTo(expected, 4);
  });
});
