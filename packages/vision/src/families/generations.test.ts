/** @file Tests of the families' names in transformers 4 and 5, against the names that both versions give. */

import { readFileSync } from 'node:fs';
import { defaultTargetPaths, type NameTable, translatePath } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { visionFamilies } from './index.ts';

/** By class: modules by the names of both, or by the one name that both give. */
type Goldens = Record<string, { family: string; modules: (string | [string, string])[] }>;
const goldens = JSON.parse(readFileSync(new URL('../../fixtures/names.json', import.meta.url), 'utf8')) as Goldens;

/** The table that holds for a class; one without pairs where none does. */
function tableFor(familyName: string, architecture: string): NameTable {
  const { generations = [] } = visionFamilies.find(({ name }) => name === familyName)!;
  const found = generations.find(({ architectures }) => architectures?.includes(architecture) ?? true);
  return found ?? { pairs: [] };
}

describe.each(Object.entries(goldens))('%s', (architecture, { family, modules }) => {
  const table = tableFor(family, architecture);
  const pairs = modules.map((each) => (typeof each === 'string' ? ([each, each] as const) : each));

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

  it('has roles and default targets for both', () => {
    const { roles, ...rest } = visionFamilies.find(({ name }) => name === family)!;
    const targets = [0, 1].map((i) =>
      defaultTargetPaths(
        { roles, ...rest },
        pairs.map((pair) => pair[i]!),
      ),
    );
    expect(targets[0]).not.toHaveLength(0);
    expect(targets[0]!.map((path) => translatePath(path, table, 5))).toEqual(targets[1]);
  });

  it('is a bijection whatever the layers are numbered, and inside whatever model, unless its class has no prefix', () => {
    const anchored = table.pairs.some((pair) => pair[4]?.startsWith('^'));
    const path = fc.record({
      pair: fc.constantFrom(...pairs),
      numbers: fc.array(fc.nat({ max: 200 }), { minLength: 3, maxLength: 3 }),
      wrapper: anchored ? fc.constant('') : fc.constantFrom('', 'model.', 'backbone.0.'),
    });
    const named = ({
      pair,
      numbers,
      wrapper,
    }: {
      pair: readonly [string, string];
      numbers: number[];
      wrapper: string;
    }) =>
      pair.map((name) => {
        let next = 0;
        return (
          wrapper + name.replaceAll(/(?<=\.(?:layers?|blocks)\.)\d+|(?<=^layers\.)\d+/g, () => `${numbers[next++]!}`)
        );
      }) as [string, string];
    fc.assert(
      fc.property(fc.array(path, { maxLength: 20 }), (paths) => {
        const both = paths.map(named);
        const old = new Set(both.map(([name]) => name));
        const translated = [...old].map((name) => translatePath(name, table, 5)!);
        expect(new Set(translated)).toEqual(new Set(both.map(([, name]) => name)));
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

it('each class is recognised by its own family alone', () => {
  for (const { name } of visionFamilies) {
    const takers = visionFamilies.filter((family) =>
      family.recognise({ config: { model_type: name }, modulePaths: [] }),
    );
    expect(takers.map((family) => family.name)).toEqual([name]);
  }
  for (const [architecture, { family, modules }] of Object.entries(goldens)) {
    for (const i of [0, 1] as const) {
      const modulePaths = modules.map((each) => (typeof each === 'string' ? each : each[i]));
      const takers = visionFamilies.filter((each) => each.recognise({ modulePaths }));
      // The names of a class without a prefix or a head tell nothing.
      const isTold = /For(?:Image|Masked)|WithProjection|^(?:CLIP|Siglip)Model$|^SiglipVisionModel$/.test(architecture);
      const isCommon = architecture === 'CLIPForImageClassification';
      expect(
        takers.map(({ name }) => name),
        architecture,
      ).toEqual(isTold && !isCommon ? [family] : []);
    }
  }
});
