import { defaultTargetPaths, type ModelFamily } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import { deit } from './deit.ts';
import { vit } from './vit.ts';

/** Module paths of one layer as transformers 4 and 5 name them. */
const generations = {
  4: (prefix: string) => [
    `${prefix}.embeddings.patch_embeddings.projection`,
    ...['query', 'key', 'value'].map((name) => `${prefix}.encoder.layer.0.attention.attention.${name}`),
    `${prefix}.encoder.layer.0.attention.output.dense`,
    `${prefix}.encoder.layer.0.intermediate.dense`,
    `${prefix}.encoder.layer.0.output.dense`,
    'classifier',
  ],
  5: (prefix: string) => [
    `${prefix}.embeddings.patch_embeddings.projection`,
    ...['q', 'k', 'v', 'o'].map((name) => `${prefix}.layers.0.attention.${name}_proj`),
    `${prefix}.layers.0.mlp.fc1`,
    `${prefix}.layers.0.mlp.fc2`,
    'classifier',
  ],
};
const roles = ['patch-embedding', 'attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.up', 'mlp.down', 'classifier']; // prettier-ignore

function rolesOf(family: ModelFamily, path: string): string[] {
  return Object.entries(family.roles)
    .filter(([, patterns]) => patterns.some(({ source }) => new RegExp(`^(?:${source})$`).test(path)))
    .map(([role]) => role);
}

describe.each([
  ['vit', vit, deit],
  ['deit', deit, vit],
])('%s', (name, family, other) => {
  test.each([4, 5] as const)('gives every module of transformers %d one role', (generation) => {
    expect(generations[generation](name).map((path) => rolesOf(family, path))).toEqual(roles.map((role) => [role]));
  });

  test('adapts queries and values by default', () => {
    expect(defaultTargetPaths(family, generations[4](name))).toEqual([
      `${name}.encoder.layer.0.attention.attention.query`,
      `${name}.encoder.layer.0.attention.attention.value`,
    ]);
    expect(defaultTargetPaths(family, generations[5](name))).toEqual([
      `${name}.layers.0.attention.q_proj`,
      `${name}.layers.0.attention.v_proj`,
    ]);
  });

  test('is recognised by its configuration, or without one by its modules', () => {
    for (const generation of [4, 5] as const) {
      const modulePaths = generations[generation](name);
      expect(family.recognise({ modulePaths })).toBe(true);
      expect(other.recognise({ modulePaths })).toBe(false);
      expect(family.recognise({ modulePaths, config: { model_type: 'swin' } })).toBe(false);
    }
    expect(family.recognise({ modulePaths: [], config: { model_type: name } })).toBe(true);
    expect(family.recognise({ modulePaths: ['classifier'] })).toBe(false);
  });
});

test('both classifiers of a distilled DeiT have the role', () => {
  expect(rolesOf(deit, 'cls_classifier')).toEqual(['classifier']);
  expect(rolesOf(deit, 'distillation_classifier')).toEqual(['classifier']);
});
