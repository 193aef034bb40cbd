/** @file Tests of numbers in short. */

import { expect, it } from 'vitest';
import { parseLayers, parseTable, parseTargets, parseTokens } from './numbers.ts';

it('reads layers, tables and tokens', () => {
  expect(parseLayers('0-2, 7')).toEqual([0, 1, 2, 7]);
  expect(parseTable('rank-pattern', 'query=4,a.b=8')).toEqual({ query: 4, 'a.b': 8 });
  expect(parseTokens('5,7')).toEqual([5, 7]);
  expect(parseTokens('wte=5,7;wpe=1')).toEqual({ wte: [5, 7], wpe: [1] });
});

it.each([
  [() => parseLayers('3-1'), /--layers-to-transform/],
  [() => parseTable('rank-pattern', 'query'), /--rank-pattern/],
  [() => parseTokens('wte=x'), /--trainable-token-indices/],
  [() => parseTargets('kind:linear colour:red'), /"colour:red", but that is not a condition/],
  [() => parseTargets('node:('), /is no pattern/],
])('%# refuses', (call, message) => {
  expect(call).toThrow(message);
});

it('makes a function of conditions', () => {
  const accepts = parseTargets('node:/q/ kind:linear shape:4x*') as (module: object) => boolean;
  const module = { node: '/a/q/MatMul', kind: 'linear', weightShape: [4, 2] };
  expect(accepts(module)).toBe(true);
  expect(accepts({ ...module, kind: 'conv2d' })).toBe(false);
  expect(accepts({ ...module, weightShape: [5, 2] })).toBe(false);
  expect(accepts({ ...module, node: '/a/k/MatMul' })).toBe(false);
});
