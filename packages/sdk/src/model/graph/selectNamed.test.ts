/** @file Tests of target rules under the names of either version of transformers. */

import { describe, expect, it } from 'vitest';
import { selectNamed } from './selectNamed.ts';

const pairs = [
  { 4: 'encoder.layer.{n}.attention.query', 5: 'layers.{n}.attention.q_proj' },
  { 4: 'encoder.layer.{n}.attention.value', 5: 'layers.{n}.attention.v_proj' },
  { 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' },
  { 4: 'encoder.layer.{n}', 5: 'layers.{n}' },
];
const modules = [
  ...[0, 1].flatMap((i) =>
    ['attention.q_proj', 'attention.v_proj', 'mlp.fc2'].map((name) => `vit.layers.${i}.${name}`),
  ),
  'classifier',
].map((path) => ({ path, kind: 'linear' }));
const scaling = { r: 4, loraAlpha: 8 };
const known = { name: 'm', family: { generations: [{ pairs }] } };

describe('a config in the names of the other version', () => {
  it('is understood, names, patterns and layers', () => {
    expect(
      selectNamed(modules, { ...scaling, targetModules: ['query', 'dense'], layersToTransform: 1 }, known),
    ).toMatchObject({
      targets: ['vit.layers.1.attention.q_proj', 'vit.layers.1.mlp.fc2'],
      namedAs: 4,
    });
    const pattern = String.raw`.*\.layer\.0\..*(query|value)`;
    expect(selectNamed(modules, { ...scaling, targetModules: pattern }, known).targets).toEqual([
      'vit.layers.0.attention.q_proj',
      'vit.layers.0.attention.v_proj',
    ]);
    const all = { ...scaling, targetModules: 'all-linear', excludeModules: ['query', 'classifier'] };
    expect(selectNamed(modules, all, known).targets).toHaveLength(4);
  });

  it('has its other fields under the own names', () => {
    const config = {
      ...scaling,
      targetModules: ['query', 'value'],
      modulesToSave: ['vit.encoder.layer.1.output.dense', 'classifier'],
      rankPattern: { 'layer.0.attention.query': 2 },
      alphaPattern: { value: 5 },
    };
    expect(selectNamed(modules, config, known)).toMatchObject({
      modulesToSave: ['vit.layers.1.mlp.fc2', 'classifier'],
      fields: {
        modulesToSave: ['vit.layers.1.mlp.fc2', 'classifier'],
        rankPattern: { 'layers\\.0\\.attention\\.q_proj': 2 },
        alphaPattern: { v_proj: 5 },
      },
    });
  });

  it('may have the own paths as targets, as when the family chooses them', () => {
    const targetModules = ['vit.layers.0.attention.q_proj', 'vit.layers.1.attention.q_proj'];
    expect(selectNamed(modules, { ...scaling, targetModules, rankPattern: { query: 2 } }, known)).toMatchObject({
      targets: targetModules,
      fields: { rankPattern: { q_proj: 2 } },
    });
  });
});

it("a config in the model's own names is not touched", () => {
  const config = { ...scaling, targetModules: ['q_proj'], rankPattern: { q_proj: 2 }, modulesToSave: ['classifier'] };
  const found = selectNamed(modules, config, known);
  expect(found.fields).toEqual({ modulesToSave: ['classifier'], rankPattern: { q_proj: 2 }, alphaPattern: {} });
  expect(found).not.toHaveProperty('namedAs');
});

it('what is in neither is said under the own names, with a hint where no family is known', () => {
  const wrong = { ...scaling, targetModules: ['query', 'v_proj'] };
  expect(() => selectNamed(modules, wrong, known)).toThrow('No module in "m" matches "query" (targetModules).');
  expect(() =>
    selectNamed(modules, { ...scaling, targetModules: ['query'] }, { name: 'm' }),
  ).toThrowErrorMatchingInlineSnapshot(
    `[OnnxLoraError: No module in "m" matches "query" (targetModules). Modules: fc2 (2), q_proj (2), v_proj (2), classifier. Pass names from this list, full paths, or "all-linear". The names that were given look like those of transformers 4, the model's like those of transformers 5; opened with its family (openModel(source, { families })), it understands both.]`,
  );
  expect(() => selectNamed(modules, { ...scaling, targetModules: ['nothing'] }, { name: 'm' })).not.toThrow(
    'transformers',
  );
});
