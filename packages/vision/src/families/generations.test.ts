/** @file Tests of the families' names in transformers 4 and 5, against the names that both versions give. */

import { type NameTable, translatePath } from '@onnx-lora/sdk/plugin';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { goldenNames } from '../../fixtures/goldenNames.ts';
import { visionFamilies } from './index.ts';

/** The table that holds for a class; one without pairs where none does. */
function tableFor(familyName: string, architecture: string): NameTable {
  const { generations = [] } = visionFamilies.find(({ name }) => name === familyName)!;
  const found = generations.find(({ architectures }) => architectures?.includes(architecture) ?? true);
  return found ?? { pairs: [] };
}

const numbersOf = (name: string): string[] => name.match(/(?<=^|\.)\d+(?=\.|$)/g) ?? [];

/** The pair with other numbers, unless a number is a part of one side's name. */
function renumbered(pair: readonly [string, string], numbers: readonly number[]): string[] {
  if (numbersOf(pair[0]).join() !== numbersOf(pair[1]).join()) return [...pair];
  return pair.map((name) => {
    let next = 0;
    return name.replaceAll(/(?<=^|\.)\d+(?=\.|$)/g, () => `${numbers[next++]!}`);
  });
}

describe.each(goldenNames)('$title', ({ title, family, pairs }) => {
  const table = tableFor(family, title);

  it('has the names that transformers gives', () => {
    for (const [old, recent] of pairs) {
      expect(translatePath(old, table, 5)).toBe(recent);
      expect(translatePath(recent, table, 4)).toBe(old);
    }
  });

  it('leaves names alone that are right already', () => {
    for (const [old, recent] of pairs) {
      expect(translatePath(old, table, 4)).toBe(old);
      expect(translatePath(recent, table, 5)).toBe(recent);
    }
  });

  it('is a bijection whatever the layers are numbered, and inside whatever model, unless its class has no prefix', () => {
    const anchored = table.pairs.some((pair) => pair[4]?.startsWith('^'));
    const path = fc.record({
      pair: fc.constantFrom(...pairs),
      numbers: fc.array(fc.nat({ max: 200 }), { minLength: 4, maxLength: 4 }),
      wrapper: anchored ? fc.constant('') : fc.constantFrom('', 'model.', 'backbone.0.'),
    });
    fc.assert(
      fc.property(fc.array(path, { maxLength: 20 }), (paths) => {
        const both = paths.map(({ pair, numbers, wrapper }) => renumbered(pair, numbers).map((name) => wrapper + name));
        const old = new Set(both.map(([name]) => name!));
        const translated = [...old].map((name) => translatePath(name, table, 5)!);
        expect(new Set(translated)).toEqual(new Set(both.map(([, name]) => name!)));
        expect(translated.map((name) => translatePath(name, table, 4))).toEqual([...old]);
        expect(new Set(translated).size).toBe(old.size);
      }),
      { seed: 1, numRuns: 100 },
    );
  });
});

it("the gated MLP of DINOv2's largest model was split, so that its first layer has no counterpart", () => {
  const table = tableFor('dinov2', 'Dinov2Model');
  expect(translatePath('encoder.layer.3.mlp.weights_out', table, 5)).toBe('encoder.layer.3.mlp.down_proj');
  expect(translatePath('encoder.layer.3.mlp.weights_in', table, 5)).toBeUndefined();
  expect(translatePath('encoder.layer.3.mlp.gate_proj', table, 4)).toBeUndefined();
  expect(translatePath('encoder.layer.3.mlp.up_proj', table, 4)).toBeUndefined();
});
