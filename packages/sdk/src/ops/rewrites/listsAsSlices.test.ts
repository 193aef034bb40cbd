/** @file Parts of a tensor by way of a list: their Slices are the same numbers. */

import { expect, test } from 'vitest';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { type AttributeProto, attributeType, type NodeProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { listsAsSlices } from './simplify.ts';

const x = float32(Float32Array.from({ length: 30 }, Math.sqrt), [2, 5, 3]);
const int = (name: string, i: number): AttributeProto => ({ name, type: attributeType.int, i });

function model(sizes: Tensor | undefined, positions: readonly number[], keepdims = 1) {
  const nodes: NodeProto[] = [
    { opType: 'SplitToSequence', input: sizes ? ['x', 'sizes'] : ['x'], output: ['list'], attribute: [int('axis', 1), int('keepdims', keepdims)] },
    ...positions.map((_, k): NodeProto => ({ opType: 'SequenceAt', name: `at${k}`, input: ['list', `i${k}`], output: [`y${k}`] })),
  ]; // prettier-ignore
  return modelOf({
    opset: 18,
    inputs: [{ name: 'x', type: 'float32', shape: x.dims }],
    outputs: positions.map((_, k) => `y${k}`),
    nodes,
    initializers: [
      ...(sizes ? [tensorProto('sizes', sizes)] : []),
      ...positions.map((i, k) => tensorProto(`i${k}`, int64([i], []))),
    ],
  });
}

test.each([
  ['sizes of their own', int64([1, 3, 1], [3]), [0, 1, -1, -2], 'Slice'],
  ['one size, the last part shorter', int64([2], []), [0, 1, 2], 'Slice'],
  ['one element each', undefined, [0, 4], 'Slice'],
  ['one size, from the end', int64([2], []), [-1], 'SequenceAt'],
] as const)('%s', async (_, sizes, positions, operator) => {
  const whole = model(sizes, positions);
  const sliced = { ...whole, graph: listsAsSlices(whole.graph!, 18) };
  expect(sliced.graph.node!.slice(1).map(({ opType }) => opType)).toEqual(positions.map(() => operator));
  const [expected, actual] = [await runOnce(whole, { x }), await runOnce(sliced, { x })];
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]!.dims).toEqual(tensor.dims);
    expect(sizeOf(tensor.dims)).toBeGreaterThan(0);
    expect(difference(actual[name], tensor)).toBe(0);
  }
});

test('parts that lose their axis, and graphs without lists, stay', () => {
  const whole = model(undefined, [1], 0).graph!;
  expect(listsAsSlices(whole, 18).node!.at(-1)).toBe(whole.node!.at(-1));
  const plain = { node: [{ opType: 'Relu', input: ['x'], output: ['y'] }] };
  expect(listsAsSlices(plain, 18)).toBe(plain);
});
