/** @file Refusals of tuners: settings that fit no layer or are not read, layers, and files that lack what they need. */

import path from 'node:path';
import { loadAdapter, openModel } from '@onnx-lora/sdk';
import type { TargetLayer, Tuner } from '@onnx-lora/sdk/plugin';
import { expect, it } from 'vitest';
import { methodsPlugin, tuners } from './plugin.ts';

const layer: TargetLayer = {
  path: 'layers.0.up',
  kind: 'linear',
  in: 12,
  out: 10,
  weightShape: [10, 12],
  bias: true,
  weight: () => new Float32Array(120).map((_, i) => Math.sin(i * i)),
  ownBias: () => new Float32Array(10),
};

function tunerOf(name: string): Tuner {
  return tuners.find((each) => each.name === name)!;
}

it.each([
  ['oft', { r: 2 }, /must be 0, but they are 2 and 32/],
  ['hra', { r: 0 }, /setting r must be a whole number of at least 1, and is 0/],
  ['oft', { num_cayley_neumann_terms: 1e9 }, /num_cayley_neumann_terms must be at most 64, and is 1000000000/],
  ['peanut', { depth: 1e9 }, /depth must be at most 64, and is 1000000000/],
  ['boft', { boft_block_size: 5 }, /divides the 12 inputs of "layers.0.up" .* got boft_block_size 5/],
  [
    'boft',
    { boft_n_butterfly_factor: 2 },
    /boft_n_butterfly_factor must be 1, or with blocks of even size .* divides the 3 blocks of "layers.0.up", and is 2/,
  ],
  ['road', {}, /pairs the 10 outputs of "layers.0.up" in groups of group_size 64/],
  ['road', { variant: 'road_3' }, /"variant" of the tuner "road" cannot be "road_3". Choose one of "road_1"/],
  ['glora', { config_C: 'constant' }, /"config_C" of the tuner "glora" cannot be "constant"/],
  ['deft', { decomposition_method: 'lu' }, /"decomposition_method" of the tuner "deft" cannot be "lu"/],
  ['peanut', { act_fn: 'xielu' }, /"act_fn" of the tuner "peanut" cannot be "xielu"/],
  ['osf', { effective_rank: 10 }, /keeps 10 of the 10 singular values of "layers.0.up"/],
  ['osf', { rank_pattern: { up: 0 } }, /keeps 0 of the 10 singular values of "layers.0.up"/],
  ['psoft', {}, /"r" of the tuner "psoft" is 32, and "layers.0.up" has 10 singular values/],
  ['frod', { save_projection: false }, /"save_projection" of the tuner "frod" cannot be false. Only true is known/],
])('%s with %j', (name, settings, message) => {
  const tuner = tunerOf(name);
  expect(() => tuner.tune(layer, { ...tuner.defaults, ...settings }, [layer])).toThrow(message);
});

it('FRoD for layers of one name that read different features', () => {
  const frod = tunerOf('frod');
  const other = { ...layer, path: 'layers.1.up', in: 8, weightShape: [10, 8] };
  expect(() => frod.tune(layer, frod.defaults, [layer, other])).toThrow(
    /"layers.0.up" reads 12 features, "layers.1.up" 8/,
  );
});

it('AdaMSS of a file with other groups than the weight gives', () => {
  const adamss = tunerOf('adamss');
  const saved = { 'adamss_A.0': [1, 10], 'adamss_B.0': [1, 1], 'adamss_A.1': [1, 10], 'adamss_B.1': [9, 1] };
  const tuned = (): unknown => adamss.tune(layer, { ...adamss.defaults, num_subspaces: 2 }, [layer], saved);
  expect(tuned).toThrow(/groups of 1, 9 outputs of "layers.0.up", whose weight gives groups of/);
});

it.each([
  ['oft', { module_dropout: 0.1 }, /"module_dropout" of the tuner "oft" cannot be 0.1. Only 0 is known/],
  ['boft', { bias: 'all' }, /"bias" of the tuner "boft" cannot be "all"/],
  ['adamss', { use_asa: true }, /"use_asa" of the tuner "adamss" cannot be true/],
  ['psoft', { psoft_dropout: 0.2 }, /"psoft_dropout" of the tuner "psoft" cannot be 0.2/],
])('%s is not trained with %j', (name, settings, message) => {
  const tuner = tunerOf(name);
  expect(() => tuner.training!({ ...tuner.defaults, ...settings })).toThrow(message);
  expect(tuner.training!(tuner.defaults)).toBeTypeOf('object');
});

it.each([
  ['oft', {}, [10, 4, 3, 3], /with more than one tap/],
  ['boft', {}, [10, 4, 1, 3], /filters that are not square/],
  ['hra', {}, [10, 4, 1, 3], /filters that are not square/],
  ['oft', {}, [10, 4, 1, 1], /convolution in groups/],
  ['boft', {}, [10, 4, 3, 3], /convolution in groups/],
  ['hra', {}, [10, 4, 3, 3], /convolution in groups/],
])('%s of a layer with %j and weight %j', (name, settings, weightShape, message) => {
  const tuner = tunerOf(name);
  const kind = weightShape.length === 2 ? 'linear' : 'conv2d';
  expect(tuner.refuses!({ ...layer, kind, weightShape }, { ...tuner.defaults, ...settings })).toMatch(message);
});

it("PSOFT's file of PEFT, which lacks the vectors that it is between", async () => {
  const folder = path.join(import.meta.dirname, '../../../test/fixtures/cases/peft-psoft');
  const model = await openModel(path.join(folder, 'model.onnx'), { plugins: [methodsPlugin] });
  const adapter = await loadAdapter(path.join(folder, 'adapter'));
  await expect(model.place(adapter)).rejects.toThrow(/no _psoft_A_cache for "layers.0.\w+", which PEFT leaves out/);
});
