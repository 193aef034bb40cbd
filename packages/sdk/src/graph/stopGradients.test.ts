/** @file Tests of edges without a gradient: other readers of the same value keep theirs. */

import { expect, test } from 'vitest';
import { stopGradients, stoppedValues } from './stopGradients.ts';
import type { NodeProto } from './proto.ts';

const node = (opType: string, input: string[], output: string): NodeProto => ({ opType, name: output, input, output: [output] }); // prettier-ignore
const graph = { input: [{ name: 'x' }], node: [node('Relu', ['x'], 'a'), node('Mul', ['a', 'x'], 'b'), node('Add', ['a', 'b'], 'c')] }; // prettier-ignore

test('named readers read an equal value, others the same', () => {
  const found = stopGradients(graph, [{ value: 'a', reader: 'c' }, { value: 'x', reader: 'b' }]); // prettier-ignore
  expect(found.node!.map(({ opType, input, output }) => `${opType}(${input!.join()})=${output!.join()}`)).toEqual([
    'Identity(x)=x/stop_gradient',
    'Relu(x)=a',
    'Identity(a)=a/stop_gradient',
    'Mul(a,x/stop_gradient)=b',
    'Add(a/stop_gradient,b)=c',
  ]);
  expect(stoppedValues(found.node!)).toEqual(['x/stop_gradient', 'a/stop_gradient']);
  expect(stopGradients(graph, [])).toBe(graph);
});
