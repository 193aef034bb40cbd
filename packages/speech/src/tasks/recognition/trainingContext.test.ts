/** @file How much of its window a model hears in training. */

import { type InputSize, OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { expect, test } from 'vitest';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import { gain, speedPerturbation } from '../../augment/perturb.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import { FeatureExtractorFactory } from '../../features/featureExtractorFactory.ts';
import { trainingContext, type TrainingContextRequest } from './trainingContext.ts';

const reader = new AudioFileReader();
const extractor = new FeatureExtractorFactory(reader).create(
  { feature_extractor_type: 'WhisperFeatureExtractor' },
  'preprocessor_config.json',
);

function modelWith(frames: number | string, more: Partial<TaskModel> = {}): TaskModel {
  return { name: 'm', inputs: { input_features: { type: 'float32', dims: ['b', 80, frames] } }, outputs: {}, ...more };
}

const stated = (...durations: readonly number[]): SpeechRecord[] =>
  durations.map((duration) => ({ audio: 'a.wav', where: 'a.wav', duration }));

/** Frames that are heard of 3,000: without spread ones, all. */
async function framesOf(request: Partial<TrainingContextRequest>): Promise<InputSize> {
  const found = await trainingContext({
    model: modelWith(3000),
    records: stated(2, 5.5),
    reader,
    extractor,
    context: 'auto',
    augment: [],
    ...request,
  });
  const size = found.inputSizes?.['input_features']?.[2] ?? 3000;
  // The extractor gives what the graph is made for.
  const count = typeof size === 'number' ? size : size.first + size.spread + size.last;
  expect(found.extractor.extract(new Float32Array(16_000)).dims[1]).toBe(count);
  return size;
}

test('that of the longest recording, rounded up, and more where recordings are stretched, with little of the silence behind', async () => {
  expect(await framesOf({})).toEqual({ first: 650, spread: 576, last: 50 });
  expect(await framesOf({ augment: [gain(), speedPerturbation()] })).toMatchObject({ first: 750 });
  expect(await framesOf({ augment: [speedPerturbation({ factors: [0.6, 1.2] })] })).toMatchObject({ first: 1050 });
  expect(await framesOf({ records: stated(0.5) })).toMatchObject({ first: 450 });
});

test('the whole window where most of it is heard, or it is asked for', async () => {
  expect(await framesOf({ records: stated(25) })).toBe(3000);
  expect(await framesOf({ context: 'full' })).toBe(3000);
  expect(await framesOf({ context: 8 })).toMatchObject({ first: 850 });
});

test('recordings of which nothing says how long they are, are measured', async () => {
  const audio = { sampleRate: 8000, channels: [new Float32Array(8000 * 7.2)] };
  expect(await framesOf({ records: [{ audio, where: 'x' }] })).toMatchObject({ first: 850 });
});

test('the whole window where the graph leaves the length open, or cannot follow; but what is asked for is not passed over', async () => {
  const refuses = modelWith(3000, {
    withInputSizes: () => {
      throw new OnnxLoraError('MODEL_UNSUPPORTED', 'no');
    },
  });
  expect(await framesOf({ model: modelWith('frames') })).toBe(3000);
  expect(await framesOf({ model: refuses })).toBe(3000);
  expect(await framesOf({ model: refuses, context: 6 })).toMatchObject({ first: 650 });
});
