/** @file Variants of LoRA that only PEFT computes are refused, and not taken for plain LoRA. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { linearNet, publishModel, randomAdapter } from '@onnx-lora/testing';
import { afterAll, expect, test } from 'vitest';
import { Adapter } from '../adapter/adapter.ts';
import { openModel } from './openModel.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-variants-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
const model = await openModel(await publishModel(path.join(folder, 'net'), { model: linearNet() }));
const plain = await randomAdapter(model, { lora: { r: 2, targetModules: 'all-linear' } });
const withOption = (key: string, value: unknown): Adapter =>
  new Adapter({ ...plain.config, extra: { ...plain.config.extra, [key]: value } }, plain.tensors);

test.each([
  ['alora_invocation_tokens', [7, 8]],
  ['arrow_config', { top_k: 3 }],
  ['kasa_config', {}],
  ['layer_replication', [[0, 2]]],
  ['use_mora', true],
  ['use_qalora', true],
])('%s is refused by its name', async (key, value) => {
  await expect(model.place(withOption(key, value))).rejects.toMatchObject({
    code: 'ADAPTER_INVALID',
    message: `The adapter is a variant of LoRA (${key}) that cannot be computed here: as plain LoRA it would give other outputs. Load a plugin that brings it (@onnx-lora/methods has most), merge it in PEFT, or train it without ${key}.`,
  });
});

test.each([
  ['alora_invocation_tokens', null],
  ['use_qalora', false],
  ['velora_config', { num_groups: 32 }], // another backward pass, the same outputs
])('%s: %j is placed', async (key, value) => {
  expect((await model.place(withOption(key, value))).tunings.length).toBeGreaterThan(0);
});

test.each(['velora_config', 'monteclora_config'])(
  '%s is plain LoRA but for training, which a plugin must know',
  async (key) => {
    const adapter = withOption(key, {});
    expect((await model.place(adapter)).tunings.every(({ tuning }) => tuning.lowRank !== undefined)).toBe(true);
    await expect(model.place(adapter, { toTrain: true })).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
      message: expect.stringContaining(
        `(${key}) that cannot be trained here: as plain LoRA it would get other gradients.`,
      ) as unknown,
    });
  },
);
