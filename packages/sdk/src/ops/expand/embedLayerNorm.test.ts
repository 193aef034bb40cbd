/** @file Embeddings with their normalisation, and packed tables, against ONNX Runtime's own kernels. */

import { expect, test } from 'vitest';
import {
  between,
  bytes,
  describeExpansions,
  expansionOf,
  fixed,
  type Fused,
  integers,
  w,
} from '../../../../../test/support/expansion.ts';

const sizes = { batch: 2, seq: 3 };
const op = 'EmbedLayerNormalization';
const ids = integers('int32', ['batch', 'seq'], [4, 0, 6, 1, 2, 3]);
const segmentIds = integers('int32', ['batch', 'seq'], [0, 0, 1, 1, 0, 1]);
const mask = integers('int32', ['batch', 'seq'], [1, 1, 0, 1, 1, 1]);
const positionIds = integers('int32', ['batch', 'seq'], [2, 1, 0, 3, 4, 2]);
const [words, positions, segments, gamma, beta] = [w(7, 8), w(5, 8), w(2, 8), w(8), w(8)];

describeExpansions({
  'three tables and a mask': { op, sizes, inputs: [ids, segmentIds, words, positions, segments, gamma, beta, mask], outputs: [true, true, true] },
  'two tables': { op, sizes, attributes: { epsilon: 0.1 }, inputs: [ids, undefined, words, positions, undefined, gamma, beta], outputs: [true, true] },
  'positions given': { op, sizes, inputs: [ids, segmentIds, words, positions, segments, gamma, beta, undefined, positionIds], outputs: [true, false, true] },
  'lengths without a mask type': { op, sizes, attributes: { mask_index_type: 0 }, inputs: [ids, segmentIds, words, positions, segments, gamma, beta], outputs: [true, false] },
} satisfies Record<string, Fused>); // prettier-ignore

const scale = fixed(between(0.01, 0.1, { shape: [] }));
const zero = bytes('uint8', 100, 150);
const table = (...shape: number[]): ReturnType<typeof bytes> => bytes('uint8', 0, 256, ...shape);

describeExpansions({
  '8-bit tables': {
    op: 'QEmbedLayerNormalization', sizes,
    inputs: [ids, segmentIds, table(7, 8), table(5, 8), table(2, 8), table(8), table(8), mask, scale, scale, scale, scale, scale, zero, zero, zero, zero, zero],
    outputs: [true, true],
  },
  '8-bit tables without segments': {
    op: 'QEmbedLayerNormalization', sizes,
    inputs: [ids, undefined, table(7, 8), table(5, 8), undefined, table(8), table(8), undefined, scale, scale, undefined, scale, scale, zero, zero, undefined, zero, zero],
    outputs: [true, true],
  },
} satisfies Record<string, Fused>); // prettier-ignore

test('names the lookups', () => {
  const { nodes } = expansionOf(
    { op, sizes, inputs: [ids, segmentIds, words, positions, segments, gamma, beta] },
    true,
  )!;
  expect(nodes.filter(({ opType }) => opType === 'Gather').map(({ name, input }) => [name, input![0]])).toEqual([
    ['/layer/Fused/word_embeddings', 'in2'],
    ['/layer/Fused/position_embeddings', 'in3'],
    ['/layer/Fused/token_type_embeddings', 'in4'],
  ]);
});
