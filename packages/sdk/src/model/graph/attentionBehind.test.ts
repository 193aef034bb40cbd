/** @file Weights of an attention behind its keys. */

import { expect, test } from 'vitest';
import type { NodeProto } from '../../graph/proto.ts';
import { attentionBehind } from './innerValues.ts';

const node = (opType: string, input: string[], ...output: string[]): NodeProto => ({ opType, input, output });

const attention = [
  node('Shape', ['k'], 'size'),
  node('Gather', ['size', 'last'], 'width'),
  node('Softmax', ['width'], 'none of it'),
  node('Reshape', ['k', 'heads'], 'k1'),
  node('Transpose', ['k1'], 'k2'),
  node('MatMul', ['q', 'k2'], 'scores'),
  node('Add', ['scores', 'mask'], 'masked'),
  node('Softmax', ['masked'], 'weights'),
  node('MatMul', ['weights', 'v'], 'mixed'),
  node('Reshape', ['mixed', 'back'], 'out'),
  node('MatMul', ['out', 'w'], 'logits'),
  node('Softmax', ['logits'], 'probabilities'),
];

test('the Softmax of scores, not one of sizes', () => {
  expect(attentionBehind({ node: attention }, 'k')).toBe('weights');
  expect(attentionBehind({ node: attention.filter(({ opType }) => opType !== 'Softmax') }, 'k')).toBeUndefined();
  expect(attentionBehind({ node: [node('Attention', ['q', 'k', 'v'], 'out'), ...attention.slice(9)] }, 'k')).toBeUndefined(); // prettier-ignore
  expect(attentionBehind({ node: [node('Identity', ['a'], 'b'), node('Identity', ['b'], 'a')] }, 'a')).toBeUndefined();
});

test('keys of a branch go on behind its If; what is inside a branch is no value of the main graph', () => {
  const branch = (nodes: NodeProto[], output: string): NonNullable<NodeProto['attribute']> => [
    { name: 'then_branch', g: { node: nodes, output: [{ name: output }] } },
  ];
  const made = { ...node('If', ['is first'], 'k'), attribute: branch([node('MatMul', ['x', 'w'], 'own')], 'own') };
  expect(attentionBehind({ node: [made, ...attention] }, 'own')).toBe('weights');
  const whole = { ...node('If', ['is first'], 'y'), attribute: branch(attention, 'out') };
  expect(attentionBehind({ node: [whole] }, 'k')).toBeUndefined();
});
