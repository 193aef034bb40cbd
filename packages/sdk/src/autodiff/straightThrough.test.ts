/** @file Which differences are straight-through estimators, and what their gradients are. */

import { expect, test } from 'vitest';
import { straightThroughDifferences } from './activeValues.ts';
import type { NodeProto } from '../graph/proto.ts';

const node = (opType: string, input: string[], output: string): NodeProto => ({ opType, input, output: [output] });

test.each([
  ['codes: s + (p − s)', [node('Sub', ['p', 's'], 'd'), node('Add', ['s', 'd'], 'y')], ['d']],
  ['assignments: (p − s) + s', [node('Sub', ['p', 's'], 'd'), node('Add', ['d', 's'], 'y')], ['d']],
  ['(s − p) + s is no estimator', [node('Sub', ['s', 'p'], 'd'), node('Add', ['d', 's'], 'y')], []],
  ['another addend', [node('Sub', ['p', 's'], 'd'), node('Add', ['d', 'p'], 'y')], []],
  ['read twice', [node('Sub', ['p', 's'], 'd'), node('Add', ['d', 's'], 'y'), node('Relu', ['d'], 'z')], []],
  ['not a sum', [node('Sub', ['p', 's'], 'd'), node('Mul', ['d', 's'], 'y')], []],
  ['the result itself', [node('Sub', ['p', 's'], 'd')], []],
])('%s', (_, nodes, differences) => {
  expect(straightThroughDifferences(nodes)).toEqual(differences);
});
