/**
 * @file The fused form of decoders whose heads share keys, against torch: prompts with padding before them, a token behind
 * a filled cache, and several, which the kernel takes for one text at a time.
 */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { OrtRuntime, type Tensor } from '@onnx-lora/sdk';
import { parseSafetensors } from '@onnx-lora/sdk/core';
import { sessionModel } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { buildGraphs } from '../../buildGraphs.ts';

const fixtures = path.join(import.meta.dirname, '../../../fixtures');

test.each(['gemma', 'gemma2', 'qwen3', 'llama-v5config'])('%s', async (name) => {
  const folder = path.join(fixtures, name);
  const { graphs } = await buildGraphs(folder, { form: 'fused' });
  const model = graphs.get('model')!;
  expect(model.graph!.node!.some(({ opType }) => opType === 'GroupQueryAttention')).toBe(true);
  const session = await new OrtRuntime().createSession({ ...sessionModel(model), name });
  const { tensors } = parseSafetensors(readFileSync(path.join(folder, 'golden.safetensors')), 'golden');
  const inputs = new Set(model.graph!.input!.map((each) => each.name!));
  const compared = new Set<string>();
  for (const key of tensors.keys()) {
    const run = /^(prefill|step|chunk)\.output\.logits$/.exec(key)?.[1];
    if (run === undefined) continue;
    const rows = tensors.get(key)!.dims[0]!;
    for (let row = 0; row < rows; row++) {
      const isAlone = run === 'chunk';
      const taken = (tensor: Tensor): Tensor => (isAlone ? rowOf(tensor, row) : tensor);
      const given = [...inputs].flatMap((input) => {
        const found = tensors.get(`${run}.input.${input}`);
        return found ? [[input, taken(found)] as const] : [];
      });
      const feeds = { ...emptyCache(model.graph!.input!, isAlone ? 1 : rows), ...Object.fromEntries(given) };
      const got = rowOf((await session.run(feeds, ['logits']))['logits']!, isAlone ? 0 : row);
      const want = rowOf(tensors.get(key)!, row);
      const real = tensors.get(`${run}.valid.logits`);
      const valid = real && rowOf(real, row);
      const width = want.dims.at(-1)!;
      for (const [i, each] of want.data.entries()) {
        if (valid && Number(valid.data[Math.floor(i / width)]) === 0) continue;
        expect(Math.abs(Number(got.data[i]) - Number(each)), `${run} ${row} ${i}`).toBeLessThan(1e-3);
      }
      compared.add(run);
    }
  }
  await session.release();
  expect([...compared].sort()).toEqual(['chunk', 'prefill', 'step']);
});

function rowOf({ type, dims, data }: Tensor, row: number): Tensor {
  const size = data.length / dims[0]!;
  return { type, dims: [1, ...dims.slice(1)], data: data.slice(row * size, (row + 1) * size) } as Tensor;
}

/** A cache of no tokens. */
function emptyCache(
  inputs: readonly {
    name?: string;
    type?: { tensorType?: { shape?: { dim?: readonly { dimValue?: number | bigint }[] } } };
  }[],
  rows: number,
): Record<string, Tensor> {
  const caches = inputs.filter((each) => each.name!.startsWith('past_key_values.'));
  return Object.fromEntries(
    caches.map((each) => {
      const [, heads, , size] = each.type!.tensorType!.shape!.dim!.map((dim) => Number(dim.dimValue));
      return [each.name!, { type: 'float32', dims: [rows, heads!, 0, size!], data: new Float32Array(0) }];
    }),
  );
}
