/** @file Domain packages loaded side by side bring all their families, none twice. */

import { scienceFamilies, sciencePlugin } from '@onnx-lora/science';
import { loadPlugins } from '@onnx-lora/sdk';
import type { ModelFamily } from '@onnx-lora/sdk/plugin';
import { speechFamilies, speechPlugin } from '@onnx-lora/speech';
import { textFamilies, textPlugin } from '@onnx-lora/text';
import { visionFamilies, visionPlugin } from '@onnx-lora/vision';
import { expect, it } from 'vitest';

it('vision, speech, science and text together give every family once', () => {
  const { families, preprocessors } = loadPlugins([visionPlugin, speechPlugin, sciencePlugin, textPlugin]);
  const names = families.map(({ domain, name }) => `${domain}/${name}`);
  expect(new Set(names).size).toBe(names.length);
  expect(names).toEqual(expect.arrayContaining(['vision/vit', 'speech/whisper', 'speech/moonshine', 'science/esm']));
  // Encoders are science's and texts'.
  const all = new Set([...visionFamilies, ...speechFamilies, ...scienceFamilies, ...textFamilies]);
  expect(names).toHaveLength(all.size);
  expect(new Set(preprocessors.map(({ domain }) => domain))).toEqual(new Set(['vision', 'speech']));
  // Each recognises its own model and leaves the other's alone.
  const described = families as readonly (ModelFamily & { readonly modelTypes?: readonly string[] })[];
  for (const { name, modelTypes = [name] } of described) {
    for (const type of modelTypes) {
      const takers = families.filter((family) => family.matches({ config: { model_type: type }, modulePaths: [] }));
      expect(takers.map((family) => family.name)).toEqual([name]);
    }
  }
});

it('lone files with the names of LLaMA are of one family each', () => {
  const { families } = loadPlugins([visionPlugin, speechPlugin, sciencePlugin, textPlugin]);
  const takers = (...modulePaths: string[]): string[] =>
    families.filter((family) => family.matches({ modulePaths })).map(({ name }) => name);
  const layer = (path: string): string[] =>
    ['self_attn.q_proj', 'mlp.gate_proj'].map((name) => `${path}.layers.0.${name}`);
  expect(takers(...layer('model'))).toEqual(['llama']);
  expect(takers(...layer('esmc'))).toEqual(['esmc']);
  expect(takers('model.decoder.layers.0.self_attn.q_proj', 'model.decoder.layers.0.fc1')).toEqual(['opt']);
});
