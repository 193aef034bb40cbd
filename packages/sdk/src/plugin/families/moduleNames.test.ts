/** @file Tests of names as a family lists them. */

import { describe, expect, it } from 'vitest';
import { defaultTargetPaths } from './family.ts';
import { pairsFrom, matcher, type RoleNames, rolesFrom } from './describedFamily.ts';

const names: RoleNames = {
  query: [{ 4: 'layer.{n}.attention.query', 5: 'layers.{n}.q_proj' }, 'blocks.{n}.q'],
  gate: [{ 5: 'layers.{n}.gate' }],
  head: ['^head', /exotic\.[ab]/],
};

describe('names of roles', () => {
  const roles = rolesFrom(names);
  const found = (role: string, path: string): boolean =>
    defaultTargetPaths({ roles, defaultTargets: [role] } as never, [path]).length > 0;

  it.each([
    ['query', 'layer.0.attention.query', true],
    ['query', 'vit.encoder.layer.11.attention.query', true],
    ['query', 'layers.3.q_proj', true],
    ['query', 'blocks.3.q', true],
    ['query', 'layer.x.attention.query', false],
    ['query', 'player.0.attention.query', false],
    ['query', 'layer.0.attention.query.base', false],
    ['query', 'layer.0.attentionXquery', false],
    ['gate', 'layers.1.gate', true],
    ['head', 'head', true],
    ['head', 'model.head', false],
    ['head', 'exotic.a', true],
    ['head', 'exotic.ab', false],
  ])('%s: %s %s', (role, path, expected) => {
    expect(found(role, path)).toBe(expected);
  });

  it('are a table of both generations too', () => {
    expect(pairsFrom(names)).toEqual([
      { 4: 'layer.{n}.attention.query', 5: 'layers.{n}.q_proj' },
      { 5: 'layers.{n}.gate' },
    ]);
  });
});

describe('matcher', () => {
  const matches = matcher({
    modelTypes: ['vit', 'vit_msn'],
    signatures: [
      ['^vit.layers.{n}', '!decoder'],
      ['pooler', 'head'],
    ],
  });

  it.each([
    ['a beginning', ['vit.layers.0.fc1'], true],
    ['not elsewhere', ['a.vit.layers.0.fc1'], false],
    ['whole parts', ['vit.layers.0x.fc1'], false],
    ['nothing that must not be there', ['vit.layers.0.fc1', 'x.decoder.y'], false],
    ['which is a whole part', ['vit.layers.0.fc1', 'x.decoders.y'], true],
    ['all of a list', ['a.pooler.dense', 'b.head'], true],
    ['not one of it', ['a.pooler.dense'], false],
    ['of something', [], false],
  ])('wants %s', (_, modulePaths, expected) => {
    expect(matches({ modulePaths })).toBe(expected);
    expect(matches({ modulePaths, config: {} })).toBe(expected);
  });

  it('believes config.json before names', () => {
    expect(matches({ modulePaths: [], config: { model_type: 'vit_msn' } })).toBe(true);
    expect(matches({ modulePaths: ['vit.layers.0.fc1'], config: { model_type: 'deit' } })).toBe(false);
  });
});
