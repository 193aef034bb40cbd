/** @file Tests of tables of names: how a pair is read, and that both directions undo each other. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NameTable, siblingPaths, translatePath } from './nameTable.ts';

const table: NameTable = {
  pairs: [
    { 4: 'layer.{n}', 5: 'layers.{n}' },
    { 4: 'layer.{n}.attention.query', 5: 'layers.{n}.q_proj' },
    { 4: 'stage.{n}.block.{n}.dense', 5: 'stages.{n}.{n}.fc' },
    { 4: 'layer.{n}.joined' },
    { 5: 'layers.{n}.left' },
    { 4: '^tower.encoder', 5: '^encoder' },
  ],
};

describe('a name', () => {
  it.each([
    ['anywhere in a path', 'model.vit.layer.0.attention.query', 'model.vit.layers.0.q_proj'],
    ['with what follows it', 'layer.12.attention.query.weight', 'layers.12.q_proj.weight'],
    ['the longest decides', 'layer.3.attention.output', 'layers.3.attention.output'],
    ['with two numbers', 'stage.1.block.22.dense', 'stages.1.22.fc'],
    ['at the beginning only', 'tower.encoder.norm', 'encoder.norm'],
    ['not inside a larger model', 'clip.tower.encoder.norm', 'clip.tower.encoder.norm'],
    ['of whole parts', 'player.0.attention.query', 'player.0.attention.query'],
    ['with a number where one is asked for', 'layer.last.attention.query', 'layer.last.attention.query'],
    ['that is not there', 'classifier', 'classifier'],
    ['of nothing', '', ''],
  ])('%s: %s', (_, old, recent) => {
    expect(translatePath(old, table, 5)).toBe(recent);
    expect(translatePath(recent, table, 4)).toBe(old);
    expect(translatePath(recent, table, 5)).toBe(recent);
    expect(translatePath(old, table, 4)).toBe(old);
  });

  it('without a counterpart gives nothing', () => {
    expect(translatePath('layer.0.joined', table, 5)).toBeUndefined();
    expect(translatePath('layers.0.left', table, 4)).toBeUndefined();
    expect(translatePath('layer.0.joined', table, 4)).toBe('layer.0.joined');
  });
});

it('siblings have the same prefix and numbers', () => {
  expect(siblingPaths('vit.layer.7.attention.query', table, 5).sort()).toEqual([
    'vit.layer.7',
    'vit.layer.7.attention.query',
    'vit.layer.7.attention.query',
    'vit.layer.7.joined',
  ]);
  expect(siblingPaths('classifier', table, 5)).toEqual(['classifier']);
});

it('one direction undoes the other, whatever is around a name', () => {
  const part = fc.constantFrom('a', 'vit', 'attention', 'query', 'norm', '3');
  const name = fc.constantFrom(
    ...table.pairs.flatMap((pair) => (pair[4] && pair[5] && !pair[4].startsWith('^') ? [pair] : [])),
  );
  fc.assert(
    fc.property(
      fc.array(part),
      name,
      fc.array(fc.nat(), { minLength: 2, maxLength: 2 }),
      fc.array(part),
      (before, pair, numbers, after) => {
        const path = (pattern: string): string => {
          let next = 0;
          return [...before, pattern.replaceAll('{n}', () => String(numbers[next++])), ...after].join('.');
        };
        const old = path(pair[4]!);
        const recent = translatePath(old, table, 5)!;
        expect(recent).not.toBe(old);
        expect(translatePath(recent, table, 4)).toBe(old);
      },
    ),
    { seed: 2, numRuns: 300 },
  );
});
