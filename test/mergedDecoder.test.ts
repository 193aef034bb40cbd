/** @file A decoder whose two forms, with and without a past, are the branches of an If: adapted in both. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Adapter,
  type AdapterSession,
  type Feeds,
  float32,
  int64,
  loadAdapter,
  merge,
  type Model,
  openModel,
  tensor,
  type Tensor,
} from '@onnx-lora/sdk';
import { readSafetensors } from '@onnx-lora/sdk/data';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';

const folder = path.join(import.meta.dirname, 'fixtures/whisperMerged');

interface Golden {
  readonly prompt: readonly number[];
  readonly suppress_tokens: readonly number[];
  readonly begin_suppress_tokens: readonly number[];
  readonly eos: number;
  readonly steps: number;
  readonly base_ids: readonly (readonly number[])[];
  readonly lora_ids: readonly (readonly number[])[];
}

const golden = JSON.parse(readFileSync(path.join(folder, 'golden.json'), 'utf8')) as Golden;
let expected: ReadonlyMap<string, Tensor>;
let adapter: Adapter;
let scratch: string;

beforeAll(async () => {
  expected = (await readSafetensors(path.join(folder, 'golden.safetensors'))).tensors;
  adapter = await loadAdapter(path.join(folder, 'adapter'));
  scratch = await mkdtemp(path.join(tmpdir(), 'onnx-lora-'));
});
afterAll(() => rm(scratch, { recursive: true }));

const open = (file: string): Promise<Model> => openModel(path.join(folder, 'onnx', file));

/** Greedy ids of the merged decoder, `[sequence][step]`, without the prompt. */
async function generate(
  model: Model,
  session: AdapterSession,
  name: string | null,
  hidden: Tensor,
): Promise<number[][]> {
  const batch = hidden.dims[0]!;
  const ids: number[][] = Array.from({ length: batch }, () => []);
  const pasts = Object.keys(model.inputs).filter((each) => each.startsWith('past_key_values'));
  let past = Object.fromEntries(pasts.map((each) => [each, float32([], [batch, 4, 0, 8])]));
  for (let step = 0; step < golden.steps; step++) {
    const next = step === 0 ? ids.flatMap(() => golden.prompt) : ids.map((own) => own.at(-1)!);
    const feeds: Feeds = {
      input_ids: int64(next, [batch, next.length / batch]),
      encoder_hidden_states: hidden,
      use_cache_branch: tensor('bool', Uint8Array.of(step === 0 ? 0 : 1), [1]),
      ...past,
    };
    const outputs = await session.run(feeds, { adapter: name });
    const { data, dims } = outputs['logits']!;
    const [, positions, vocabulary] = dims as [number, number, number];
    for (const [i, own] of ids.entries()) {
      const start = (i * positions + positions - 1) * vocabulary;
      const logits = Array.from((data as Float32Array).subarray(start, start + vocabulary));
      for (const token of golden.suppress_tokens) logits[token] = -Infinity;
      if (step === 0) for (const token of golden.begin_suppress_tokens) logits[token] = -Infinity;
      own.push(own.at(-1) === golden.eos ? golden.eos : logits.indexOf(Math.max(...logits)));
    }
    // With a past, the keys and values of the encoder's states are dummies: those of the first step stay.
    past = Object.fromEntries(
      pasts.map((each) => {
        const isNew = step === 0 || each.includes('.decoder.');
        return [each, isNew ? outputs[each.replace('past_key_values', 'present')]! : past[each]!];
      }),
    );
  }
  return ids;
}

/** States of the encoder for the three recordings. */
async function hiddenStates(adapted: boolean): Promise<Tensor> {
  const session = await (await open('encoder_model.onnx')).session({ adapters: { french: adapter } });
  try {
    const feeds = { input_features: expected.get('input_features')! };
    return (await session.run(feeds, { adapter: adapted ? 'french' : null }))['last_hidden_state']!;
  } finally {
    await session.release();
  }
}

describe.each([
  ['base', null, golden.base_ids],
  ['lora', 'french', golden.lora_ids],
] as const)('%s', (variant, name, ids) => {
  test('an encoder by itself, whose modules lack the prefix', async () => {
    const found = await hiddenStates(name !== null);
    const wanted = expected.get(`${variant}.encoder_last_hidden_state`)!;
    expect(found.dims).toEqual(wanted.dims);
    const errors = Array.from(wanted.data as Float32Array, (value, i) => Math.abs(value - Number(found.data[i])));
    expect(Math.max(...errors)).toBeLessThan(1e-4);
  });

  test('generates the golden tokens', async () => {
    const model = await open('decoder_model_merged.onnx');
    const session = await model.session({ adapters: { french: adapter } });
    expect(await generate(model, session, name, await hiddenStates(name !== null))).toEqual(ids);
    await session.release();
  });
});

test("says that the decoder has no place for the encoder's part", async () => {
  const warnings: string[] = [];
  const listen = (warning: Error): unknown => warnings.push(warning.message);
  process.on('warning', listen);
  try {
    const model = await open('decoder_model_merged.onnx');
    await model.place(adapter);
    await model.place(adapter);
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('warning', listen);
  }
  expect(warnings.filter((message) => message.includes('does not hold'))).toEqual([
    expect.stringContaining('"model.encoder.layers.0.fc1", "model.encoder.layers.0.self_attn.q_proj"'),
  ]);
});

test('merged into both branches, it generates the golden tokens', async () => {
  const file = path.join(scratch, 'decoder_merged.onnx');
  await merge(await open('decoder_model_merged.onnx'), adapter, file);
  const model = await openModel(file);
  const session = await model.session();
  expect(await generate(model, session, null, await hiddenStates(true))).toEqual(golden.lora_ids);
  await session.release();
});
