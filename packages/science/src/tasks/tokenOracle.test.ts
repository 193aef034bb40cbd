/** @file Losses over tokens beside those of PEFT on torch, where the oracle is present. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Feeds, loadAdapter, openModel, type Tensor } from '@onnx-lora/sdk';
import type { Task } from '@onnx-lora/sdk/tasks';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { ParameterSet, Trainer } from '@onnx-lora/sdk/core';
import { EsmTokenizer, type SequenceTokenizer } from '@onnx-lora/sequences';
import { describe, expect, test } from 'vitest';
import type { SequenceData } from '../data/sequenceRecord.ts';
import { maskedLanguageModelling } from './masked/maskedLanguageModelling.ts';
import { residueClassification } from './residues/residueTasks.ts';

const cases = fileURLToPath(new URL('../../../../../shared/oracle/cases/', import.meta.url));
const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

/** ESM's tokenizer with as many tokens as a model has. */
async function tokenizerOf(size: number): Promise<SequenceTokenizer> {
  const esm = await EsmTokenizer.read(`${fixtures}esmMasked`);
  return {
    size,
    padId: esm.padId,
    maskId: esm.maskId!,
    specialIds: esm.specialIds,
    added: esm.added,
    isPerLetter: true,
    tokens: (text) => esm.tokens(text),
    framed: (ids, second) => esm.framed(ids, second),
    tokenOf: (id) => esm.tokenOf(id),
    idOf: (token) => esm.idOf(token),
  };
}

async function tensorsOf(name: string, file: string): Promise<ReadonlyMap<string, Tensor>> {
  return (await readSafetensors(`${cases}${name}/${file}.safetensors`)).tensors;
}

/** The task's loss of the case's batch with its adapter, beside PEFT's, and the task's weight of the batch. */
async function losses(name: string, task: Task): Promise<{ loss: number; expected: number; weight: number }> {
  const model = await openModel(`${cases}${name}/model.onnx`);
  const placed = await model.place(await loadAdapter(`${cases}${name}/adapter`));
  const prepared = await task.prepare(model);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: placed.tunings.map(({ tuning }) => tuning),
    loss: (g, outputs, targets) => prepared.loss(g, outputs, targets),
    runtime: model.runtime,
    session: { threads: 1 },
    parameters: (inputs) => ParameterSet.of(placed, inputs),
    name,
  });
  try {
    const { labels, ...inputs } = Object.fromEntries(await tensorsOf(name, 'inputs')) as Feeds & { labels: Tensor };
    const found = await trainer.lossAndGradients(inputs, { labels });
    const expected = Number((await tensorsOf(name, 'expected')).get('lora.loss')!.data[0]);
    return { loss: found.loss, expected, weight: prepared.lossWeight!({ labels }) };
  } finally {
    await trainer.release();
  }
}

const data = (more: object): SequenceData => ({
  train: ['MKTAY', 'GLSDG', 'ACDEF'].map((sequence, i) => ({ id: String(i), where: `record ${i}`, sequence, ...more })),
  warnings: [],
});

describe.skipIf(!existsSync(cases))('losses over tokens beside PEFT (needs ../shared beside the checkout)', () => {
  test.each([
    ['esm2-mlm-v4', 33],
    ['esm2-mlm-v5', 33],
    ['chemberta-mlm-v4', 60],
  ])('masked tokens: %s', async (name, size) => {
    const { loss, expected, weight } = await losses(
      name,
      maskedLanguageModelling(data({}), { tokenizer: await tokenizerOf(size) }),
    );
    expect(loss).toBeCloseTo(expected, 4);
    const labels = (await tensorsOf(name, 'inputs')).get('labels')!;
    expect(weight).toBe(Array.from(labels.data, Number).filter((label) => label >= 0).length);
  });

  test.each([
    ['esm2-token-v4', ['0', '1', '2', '0', '1']],
    ['bert-tokencls-v5', ['0', '1', '2', '3', '4']],
  ])('classes of residues: %s', async (name, residues) => {
    const task = residueClassification(data({ residues }), { tokenizer: await tokenizerOf(33), head: 'keep' });
    const { loss, expected, weight } = await losses(name, task);
    expect(loss).toBeCloseTo(expected, 4);
    const labels = (await tensorsOf(name, 'inputs')).get('labels')!;
    expect(weight).toBe(Array.from(labels.data, Number).filter((label) => label >= 0).length);
  });
});
