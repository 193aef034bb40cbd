/** @file Decoders token by token, in two graphs and in one, against what torch answers to the whole text. */

import { readFileSync } from 'node:fs';
import { type Feeds, float32, int64, OrtRuntime, type Tensor } from '@onnx-lora/sdk';
import { parseSafetensors } from '@onnx-lora/sdk/core';
import { sessionModel } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { buildGraphs } from '../../buildGraphs.ts';

/** Tokens of the text that are known before the decoder begins. */
const FIRST = 4;

test.each([
  ['whisper-long', 'input_features'],
  ['moonshine', 'input_values'],
])('%s gives the same logits token by token', async (name, input) => {
  const folder = `packages/build/fixtures/${name}`;
  const { graphs } = await buildGraphs(folder);
  const golden = parseSafetensors(readFileSync(`${folder}/golden.safetensors`), 'golden').tensors;
  const run = async (graph: string, feeds: Feeds): Promise<Feeds> => {
    const session = await new OrtRuntime().createSession({ ...sessionModel(graphs.get(graph)!), name: graph });
    const outputs = await session.run(
      feeds,
      graphs.get(graph)!.graph!.output!.map((each) => each.name!),
    );
    await session.release();
    return outputs;
  };
  const ids = golden.get('0.input.decoder_input_ids')!;
  const want = golden.get('0.output.logits')!;
  const encoded = (await run('encoder_model', { [input]: golden.get(`0.input.${input}`)! }))['last_hidden_state']!;

  const first = await run('decoder_model', { input_ids: columns(ids, 0, FIRST), encoder_hidden_states: encoded });
  expectClose(first['logits']!, columns(want, 0, FIRST));
  let pasts = asPasts(first);
  for (let at = FIRST; at < ids.dims[1]!; at++) {
    const step = await run('decoder_with_past_model', { input_ids: columns(ids, at, at + 1), ...pasts });
    expectClose(step['logits']!, columns(want, at, at + 1));
    pasts = { ...pasts, ...asPasts(step) };
  }

  // Optimum's feeds without a past: one number per head, which must not count.
  const { heads, size } = {
    heads: first['present.0.decoder.key']!.dims[1]!,
    size: first['present.0.decoder.key']!.dims[3]!,
  };
  const dummy = float32(new Float32Array(ids.dims[0]! * heads * size).fill(9), [ids.dims[0]!, heads, 1, size]);
  const dummies = Object.fromEntries(Object.keys(asPasts(first)).map((key) => [key, dummy]));
  const merged = async (from: number, to: number, past: Feeds, isLater: boolean): Promise<Feeds> =>
    run('decoder_model_merged', {
      input_ids: columns(ids, from, to), encoder_hidden_states: encoded, use_cache_branch: { type: 'bool', dims: [1], data: Uint8Array.of(isLater ? 1 : 0) }, ...past,
    }); // prettier-ignore
  const begin = await merged(0, FIRST, dummies, false);
  expectClose(begin['logits']!, columns(want, 0, FIRST));
  const then = await merged(FIRST, ids.dims[1]!, asPasts(begin), true);
  expectClose(then['logits']!, columns(want, FIRST, ids.dims[1]!));
});

/** The cache, as the next token's graph takes it. */
function asPasts(outputs: Feeds): Feeds {
  const kept = Object.entries(outputs).filter(([name]) => name.startsWith('present.'));
  return Object.fromEntries(kept.map(([name, value]) => [name.replace('present', 'past_key_values'), value]));
}

/** Part of the second dimension of int64 `[batch, length]` or float32 `[batch, length, width]`. */
function columns({ type, dims, data }: Tensor, from: number, to: number): Tensor {
  const [batch, length, width = 1] = dims as [number, number, number?];
  const part = Array.from({ length: batch * (to - from) * width }, (_, i) => {
    const [row, rest] = [Math.floor(i / ((to - from) * width)), i % ((to - from) * width)];
    return Number(data[(row * length + from) * width + rest]);
  });
  return type === 'int64' ? int64(part, [batch, to - from]) : float32(part, [batch, to - from, width]);
}

function expectClose(got: Tensor, want: Tensor): void {
  expect(got.dims).toEqual(want.dims);
  const off = Array.from(want.data as Float32Array, (value, i) => Math.abs(Number(value) - Number(got.data[i])) / (1e-4 + 1e-3 * Math.abs(Number(value)))); // prettier-ignore
  expect(Math.max(...off)).toBeLessThan(1);
}
