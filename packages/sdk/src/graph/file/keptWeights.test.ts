/** @file Computed weights are computed once, and found again by what they depend on. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { PreparedCache } from '../../files/preparedCache.ts';
import { isInFile, readBytes } from '../bytes.ts';
import { dataTypeNumber } from '../dataType.ts';
import type { ModelProto } from '../proto.ts';
import { keepWeights } from './keptWeights.ts';
import { scratchWeights } from './scratchWeights.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-kept-weights-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const computed: string[] = [];

/** A model with weights of these keys, as another process would make it. */
function modelOf(keys: readonly string[], kind = 'int8 weights'): ModelProto {
  const initializer = keys.map((key, i) => {
    const compute = (): Uint8Array => {
      computed.push(key);
      return new Uint8Array(1000 + i).fill(key.charCodeAt(0));
    };
    const rawData = { length: 1000 + i, compute, origin: { kind, key } };
    return { name: key, dims: [1000 + i], dataType: dataTypeNumber('uint8'), rawData };
  });
  return { irVersion: 8, graph: { name: 'g', initializer } };
}

async function loaded(model: ModelProto, smallest = 1): Promise<Uint8Array[]> {
  computed.length = 0;
  await keepWeights(model, 'net', { cache: new PreparedCache(root, 1e6), smallest });
  return scratchWeights(model).graph!.initializer!.map(({ rawData }) => {
    expect(isInFile(rawData!)).toBe(smallest === 1);
    return readBytes(rawData!);
  });
}

it('reads what an earlier process has computed of the same origin', async () => {
  const first = await loaded(modelOf(['a', 'b']));
  expect(computed).toEqual(['a', 'b']);
  expect(await loaded(modelOf(['a', 'b']))).toEqual(first);
  expect(computed).toEqual([]);
  expect(first.map((bytes) => [bytes.length, bytes[0]])).toEqual([[1000, 97], [1001, 98]]); // prettier-ignore
  await loaded(modelOf(['a', 'c']));
  expect(computed).toEqual(['a', 'c']);
  await loaded(modelOf(['a', 'b'], 'transposed int8 weights'));
  expect(computed).toEqual(['a', 'b']);
  expect(new PreparedCache(root, 1e6).entries().map(({ what }) => what).toSorted()).toEqual(['int8 weights of net', 'int8 weights of net', 'transposed int8 weights of net']); // prettier-ignore
});

it('keeps neither few weights nor those of unknown origin', async () => {
  const before = new PreparedCache(root, 1e6).entries().length;
  await loaded(modelOf(['d', 'e']), 1e4);
  const unknown = modelOf(['f']);
  const [weight] = unknown.graph!.initializer!;
  const { origin: _, ...rawData } = weight!.rawData as { length: number; compute: () => Uint8Array; origin?: unknown };
  await keepWeights({ graph: { initializer: [{ ...weight!, rawData }] } }, 'net', { cache: new PreparedCache(root, 1e6), smallest: 1 }); // prettier-ignore
  expect(new PreparedCache(root, 1e6).entries()).toHaveLength(before);
});
