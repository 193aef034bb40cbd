import { describe, expect, test } from 'vitest';
import type { NodeProto } from '../graph/proto.ts';
import { indexGraph } from '../graph/walk.ts';
import { scopeCompletion, uncountedPaths } from './completePaths.ts';

function completion(nodes: readonly (readonly [name: string, parameter: string])[]): (scope: string) => string {
  const node = nodes.map(([name, parameter], i): NodeProto => ({
    name,
    opType: 'Add',
    input: ['x', parameter],
    output: [`y${i}`],
  }));
  const graph = { node, initializer: nodes.map(([, name]) => ({ name, dims: [1], dataType: 1 })) };
  return scopeCompletion(graph, indexGraph(graph));
}

describe('scopeCompletion', () => {
  test('adds what the parameters have before the scopes', () => {
    const complete = completion([['/decoder/norm/Add', 'model.decoder.norm.bias']]);
    expect(complete('decoder.layers.0.fc1')).toBe('model.decoder.layers.0.fc1');
    expect(complete('head')).toBe('head');
  });

  test('adds nothing where parameters disagree, or have the scope itself', () => {
    const disagreeing = completion([
      ['/decoder/a/Add', 'left.decoder.a.bias'],
      ['/decoder/b/Add', 'right.decoder.b.bias'],
    ]);
    expect(disagreeing('decoder.c')).toBe('decoder.c');
    expect(completion([['/decoder/a/Add', 'decoder.a.bias']])('decoder.c')).toBe('decoder.c');
  });
});

test('uncountedPaths takes numbers of calls away, one by one and together', () => {
  expect(uncountedPaths('a.query')).toEqual([]);
  expect(uncountedPaths('layers.0.query_1')).toEqual(['layers.0.query']);
  expect(uncountedPaths('attention_2.query_1').toSorted()).toEqual([
    'attention.query',
    'attention.query_1',
    'attention_2.query',
  ]);
});
