/** @file Adapters of normalisations alone, and of rows of embeddings alone, as PEFT has types of their own for. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { checkAdapterRoundTrip, randomAdapter } from '@onnx-lora/testing';
import { expect, test } from 'vitest';
import { parseAdapterConfig } from '../../adapter/formats/peftConfig.ts';
import { loadAdapter } from '../opening/loadAdapter.ts';
import { convertToLora } from '../merging/convertToLora.ts';
import { openModel } from '../openModel.ts';
import { planAdapter } from './planAdapter.ts';

const cases = path.join(import.meta.dirname, '../../../../../test/fixtures/cases');
const model = await openModel(path.join(cases, 'peft-ln-tuning/model.onnx'));
const peft = await loadAdapter(path.join(cases, 'peft-ln-tuning/adapter'));

test('LN tuning trains all normalisations, under the names that PEFT gives them', async () => {
  const adapter = await randomAdapter(model, { lora: { tuner: 'ln_tuning' } });
  expect([...adapter.tensors.keys()].sort()).toEqual([...peft.tensors.keys()].sort());
  expect(adapter.config.targetModules).toEqual([0, 1, 2, 3].map((i) => `layers.${i}.norm`));
  expect(await checkAdapterRoundTrip(model, adapter)).toEqual([]);
});

test('LN tuning trains what is named, and a head beside it', () => {
  const { plan, config } = planAdapter(model, {
    tuner: 'ln_tuning',
    targetModules: ['layers.1.norm'],
    modulesToSave: ['head'],
  });
  expect(plan.map((each) => each.tensor('parameter').savedAs)).toEqual([
    'base_model.model.layers.1.norm.ln_tuning_layers.weight',
    'base_model.model.layers.1.norm.ln_tuning_layers.bias',
    'base_model.model.head.weight',
    'base_model.model.head.bias',
  ]);
  expect(config).toMatchObject({ peftType: 'LN_TUNING', modulesToSave: ['head'] });
});

test('group normalisations are found by their scopes, where an exporter has folded their weights', async () => {
  const { plan } = planAdapter(await openModel(path.join(cases, 'peft-ln-tuning-group-norm/model.onnx')), {
    tuner: 'ln_tuning',
  });
  // 8 and 6 channels, a weight and a bias of each.
  expect(plan.flatMap((each) => each.trained().map(({ savedAs, count }) => [savedAs, count]))).toEqual([
    ['base_model.model.norm.ln_tuning_layers.weight', 8],
    ['base_model.model.norm.ln_tuning_layers.bias', 8],
    ['base_model.model.last.ln_tuning_layers.weight', 6],
    ['base_model.model.last.ln_tuning_layers.bias', 6],
  ]);
});

test('rows of embeddings alone keep the name that their type has for them', async () => {
  const folder = path.join(cases, 'peft-trainable-tokens');
  const base = await openModel(path.join(folder, 'model.onnx'));
  const { tunings } = await base.place(await loadAdapter(path.join(folder, 'adapter')));
  expect(tunings.flatMap(({ tuning }) => tuning.trained().map(({ savedAs }) => savedAs))).toEqual([
    'base_model.model.tokens.trainable_tokens_delta',
  ]);
});

test('what cannot be is refused', async () => {
  const config = JSON.parse(
    readFileSync(path.join(cases, 'peft-trainable-tokens/adapter/adapter_config.json'), 'utf8'),
  ) as object;
  expect(() => parseAdapterConfig({ ...config, token_indices: [-1] }, 'a.json')).toThrow(/"a.json".*token_indices/);
  await expect(convertToLora(peft, model)).rejects.toThrow(
    'The adapter is of the type LN_TUNING, which changes no layer as LoRA can.',
  );
  expect(() => planAdapter(model, { tuner: 'ln_tuned' })).toThrow('There is no tuner "ln_tuned". Did you mean "ln_tuning"?'); // prettier-ignore
  expect(() => planAdapter(model, { tuner: { name: 'ln_tuning', r: 4 } })).toThrow('The tuner "ln_tuning" has no setting "r".'); // prettier-ignore
  expect(() => planAdapter(model, { tuner: 'ln_tuning', targetModules: () => true })).toThrow('targetModules is a function'); // prettier-ignore
  expect(() => planAdapter(model, { tuner: 'ln_tuning', targetModules: ['normal'] })).toThrow('normal');
});
