import { expect, test } from 'vitest';
import type { GraphProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { findSites } from '../../match/sites.ts';
import { float32 } from '../../runtime/tensor.ts';
import { headSites } from './headSites.ts';

/** A linear layer, and behind it `doublings` nodes that read the node before twice. */
function doubled(doublings: number): GraphProto {
  return {
    input: [{ name: 'x' }],
    output: [{ name: `v${doublings}` }],
    initializer: [tensorProto('head.weight', float32(new Float32Array(6), [2, 3]))],
    node: [
      { name: '/head/MatMul', opType: 'MatMul', input: ['x', 'head.weight'], output: ['v0'] },
      ...Array.from({ length: doublings }, (_, i) => ({ opType: 'Add', input: [`v${i}`, `v${i}`], output: [`v${i + 1}`] })), // prettier-ignore
    ],
  };
}

test('values that are read again and again are looked at once', () => {
  const graph = doubled(60);
  expect(headSites(graph, findSites(graph), 'v60').map(({ path }) => path)).toEqual(['head']);
});

test('nodes in a circle are no head', () => {
  const graph = doubled(0);
  const node = [{ opType: 'Add', input: ['v0', 'b'], output: ['a'] }, { opType: 'Relu', input: ['a'], output: ['b'] }]; // prettier-ignore
  expect(headSites({ ...graph, node: [...graph.node!, ...node] }, findSites(graph), 'b')).toEqual([]);
});
