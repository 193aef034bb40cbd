/** @file Values that fences declare instead of making them. */

import path from 'node:path';
import { type Adapter, type Feeds, float32, int64, loadAdapter, type Model, openModel } from '@onnx-lora/sdk';
import { ParameterSet, planAdapter, Trainer } from '@onnx-lora/sdk/core';
import { Random } from '@onnx-lora/sdk/data';
import { openTranscriber, speechFamilies } from '@onnx-lora/speech';
import { visionFamilies } from '@onnx-lora/vision';
import { tuners } from '@onnx-lora/methods';
import { forecast } from '../examples/series/forecast.ts';
import { seriesPlugin } from '../examples/series/plugin.ts';
import { root } from './fences.ts';
import { photosAdapter } from './vision.ts';

const zeros = (...dims: number[]): Feeds[string] => float32(new Float32Array(dims.reduce((a, b) => a * b)), dims);
const vit = (): Promise<Model> =>
  openModel(path.join(root, 'docs/examples/models/vit-mnist'), { families: visionFamilies });

async function adapter(): Promise<Adapter> {
  await photosAdapter('.given');
  return loadAdapter('.given');
}

async function trainer(): Promise<Trainer> {
  const model = await vit();
  const { plan } = planAdapter(model, { targetModules: 'all-linear' });
  const random = new Random(1);
  return new Trainer({
    base: model.onnx.model,
    plan,
    loss: (g, outputs, targets) => g.ReduceMean(g.Mul(outputs['logits']!, targets['signs']!), [0, 1], false),
    runtime: model.runtime,
    parameters: (all) => ParameterSet.initial(all, random),
    name: model.name,
  });
}

/** By their names. */
export const given: Readonly<Record<string, () => unknown>> = {
  adapter,
  polite: adapter,
  rude: adapter,
  fast: adapter,
  model: vit,
  pixels: () => zeros(2, 3, 28, 28),
  // For SAM's two parts.
  image: () => ({ pixel_values: zeros(1, 3, 128, 128) }),
  clicks: () => [{ input_points: float32([40, 50], [1, 1, 1, 2]), input_labels: int64([1], [1, 1, 1]) }],

  transcriber: async () =>
    openTranscriber(await openModel('models/whisper-small', { families: speechFamilies }), {
      adapters: { calls: await loadAdapter('runs/calls') },
    }),

  trainer,
  parts: () => [0, 1].map(() => ({ inputs: { pixel_values: zeros(2, 3, 28, 28) }, targets: { signs: zeros(2, 10) } })),
  receive: () => async function* () {},

  seriesPlugin: () => seriesPlugin,
  forecast: () => forecast,
  ia3: () => tuners.find(({ name }) => name === 'ia3')!,
};
