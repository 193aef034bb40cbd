/** @file Families from facts: what an author may leave out, and what is made of the rest. */

import { expect, test } from 'vitest';
import { describedFamily, type FamilyDefinition, queriesAndValues } from './describedFamily.ts';

const facts: FamilyDefinition = {
  name: 'sensor-net',
  domain: 'sensors',
  modelTypes: ['sensor_net'],
  signatures: [['^encoder.blocks.{n}']],
  names: { 'attention.query': [{ 4: 'attn.query', 5: 'attn.q_proj' }] },
  defaultTargets: queriesAndValues,
  tasks: ['forecast'],
};

test('a model of nobody else needs neither title nor paper nor preprocessors', () => {
  const family = describedFamily(facts);
  expect(family).toMatchObject({ title: 'sensor-net', preprocessors: [] });
  expect([family.paper, family.targetsFrom]).toEqual([undefined, undefined]);
  expect(family.matches({ modulePaths: ['encoder.blocks.0.attn.query'] })).toBe(true);
  expect(family.generations).toEqual([{ pairs: [expect.objectContaining({ 4: 'attn.query', 5: 'attn.q_proj' })] }]);
});

test('what is told is kept', () => {
  const told = { title: 'SensorNet', paper: 'A paper', targetsFrom: 'a study', preprocessors: ['SensorProcessor'] };
  expect(describedFamily({ ...facts, ...told })).toMatchObject(told);
});
