/** @file Folding keeps what a graph computes. */

import { expect, it } from 'vitest';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import { readTensor, tensorProto } from '../../graph/tensorData.ts';
import { int64, tensor } from '../../runtime/tensor.ts';
import { inferGraph } from '../inferGraph.ts';
import { dropUnreadInitializers, foldKnownIntegers } from './simplify.ts';

const TO_THE_END = 2n ** 63n - 1n;

function constant(name: string, value: bigint): NodeProto {
  const t = tensorProto('', tensor('int64', BigInt64Array.of(value), [1]));
  return { opType: 'Constant', output: [name], attribute: [{ name: 'value', type: 4, t }] };
}

it('folds a computed shape, and leaves a number that JavaScript rounds as the file has it', () => {
  const graph: GraphProto = {
    input: [{ name: 'x', type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 3 }, { dimValue: 17 }] } } } }],
    initializer: [tensorProto('one', int64([1], [1]))],
    node: [
      { opType: 'Shape', input: ['x'], output: ['shape'] },
      constant('end', TO_THE_END),
      { opType: 'Slice', input: ['x', 'one', 'end', 'one'], output: ['y'] },
      { opType: 'Reshape', input: ['y', 'shape'], output: ['z'] },
    ],
    output: [{ name: 'z' }],
  };
  const types = inferGraph({ graph, opsetImport: [{ domain: '', version: 17 }] });
  const folded = foldKnownIntegers(graph, types);
  expect(folded.node!.map(({ opType }) => opType)).toEqual(['Constant', 'Slice', 'Reshape']);
  const shape = folded.initializer!.find(({ name }) => name === 'shape')!;
  expect(readTensor(shape).data).toEqual(BigInt64Array.of(3n, 17n));
  // Rounded to 2⁶³ it would wrap to −2⁶³, and the slice would be empty.
  expect(readTensor(folded.node![0]!.attribute![0]!.t!).data).toEqual(BigInt64Array.of(TO_THE_END));
});

it('drops initializers that nothing reads, from the inputs as well', () => {
  const one = tensorProto('one', int64([1], [1]));
  const graph: GraphProto = {
    input: ['x', 'read', 'unread'].map((name) => ({ name })),
    initializer: ['read', 'unread', 'also'].map((name) => ({ ...one, name })),
    node: [{ opType: 'Add', input: ['x', 'read'], output: ['y'] }],
    output: [{ name: 'y' }],
  };
  const { input, initializer } = dropUnreadInitializers(graph);
  expect(input!.map(({ name }) => name)).toEqual(['x', 'read']);
  expect(initializer!.map(({ name }) => name)).toEqual(['read']);
});
