/** @file Ifs whose condition the sizes decide: the branch in their place computes the same, others stay. */

import { expect, test } from 'vitest';
import { difference, modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { type AttributeProto, attributeType, type GraphProto, type NodeProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { float32, int64, tensor } from '../../runtime/tensor.ts';
import { inferGraph } from '../inferGraph.ts';
import { inlineKnownBranches } from './simplify.ts';

const node = (opType: string, input: string[], output: string[], attribute: AttributeProto[] = []): NodeProto => ({
  opType,
  input,
  output,
  attribute,
});
const branches = (named: Readonly<Record<'else_branch' | 'then_branch', GraphProto>>): AttributeProto[] =>
  Object.entries(named).map(([name, g]) => ({ name, type: attributeType.graph, g }));
const x = float32(Float32Array.of(1, -2, 3, -4, 5, -6), [2, 3]);

/** Whether x has `rows` rows decides the outer If; the inner one is decided by what is fed. */
function model(rows: number) {
  const inner = branches({
    then_branch: { name: 'c', node: [node('Neg', ['x'], ['c0'])], output: [{ name: 'c0' }] },
    else_branch: { name: 'd', node: [node('Abs', ['x'], ['d0'])], output: [{ name: 'd0' }] },
  });
  const outer = branches({
    else_branch: {
      name: 'a',
      node: [node('Exp', ['x'], ['a0']), node('Abs', ['x'], ['a1'])],
      output: [{ name: 'a0' }, { name: 'a1' }],
    },
    then_branch: {
      name: 'b',
      node: [node('If', ['fed'], ['b0'], inner), node('Mul', ['b0', 'own'], ['b1'])],
      initializer: [tensorProto('own', float32(Float32Array.of(2), [1]))],
      output: [{ name: 'b1' }, { name: 'b0' }],
    },
  });
  return modelOf({
    opset: 18,
    inputs: [
      { name: 'x', type: 'float32', shape: [2, 3] },
      { name: 'fed', type: 'bool', shape: [] },
    ],
    outputs: ['y', 'z'],
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'first'], ['size'], [{ name: 'axis', type: attributeType.int, i: 0 }]),
      node('Equal', ['size', 'rows'], ['decided']),
      node('If', ['decided'], ['y', 'z'], outer),
    ],
    initializers: [tensorProto('first', int64([0], [])), tensorProto('rows', int64([rows], []))],
  });
}

test.each([
  [2, 0, ['Shape', 'Gather', 'Equal', 'If', 'Mul', 'Identity', 'Identity']],
  [2, 1, ['Shape', 'Gather', 'Equal', 'If', 'Mul', 'Identity', 'Identity']],
  [3, 0, ['Shape', 'Gather', 'Equal', 'Exp', 'Abs', 'Identity', 'Identity']],
])('%d rows wanted, %d fed', async (rows, fed, operators) => {
  const whole = model(rows);
  const graph = inlineKnownBranches(whole.graph!, inferGraph(whole));
  expect(graph.node!.map(({ opType }) => opType)).toEqual(operators);
  const feeds = { x, fed: tensor('bool', Uint8Array.of(fed), []) };
  const [expected, actual] = [await runOnce(whole, feeds), await runOnce({ ...whole, graph }, feeds)];
  for (const name of ['y', 'z']) expect(difference(actual[name], expected[name])).toBe(0);
});
