/** @file Clips as feeds: lengths, padding, masks. */

import { type Feeds, float32, type Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { describe, expect, test } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import { FeatureExtractorFactory } from '../features/featureExtractorFactory.ts';
import { framesOf, ownFrames, rowsAlike, audioFeeds, audioPorts } from './audioFeeds.ts';

const extractor = (mask: boolean): FeatureExtractor =>
  new FeatureExtractorFactory(new AudioFileReader()).create(
    { feature_extractor_type: 'Wav2Vec2FeatureExtractor', return_attention_mask: mask },
    'preprocessor_config.json',
  );
const clips: Tensor[] = [float32([1, 2, 3, 5], [4]), float32([4, 1], [2])];
const values = { type: 'float32', dims: ['batch', 'samples'] } as const;
const mask = { type: 'int64', dims: ['batch', 'samples'] } as const;
const model = (inputs: TaskModel['inputs']): TaskModel => ({ name: 'm', inputs, outputs: {} });

describe('feeds', () => {
  test('are what the extractor makes, padded further as it pads', () => {
    for (const masked of [true, false]) {
      const made = extractor(masked);
      const ports = audioPorts(
        model(masked ? { input_values: values, attention_mask: mask } : { input_values: values }),
      );
      const { feeds, lengths, padded } = audioFeeds(made, ports, clips, 3);
      const silent = made.batch([...clips, float32(new Float32Array(6), [6])])['input_values']!;
      expect(padded).toBe(6);
      expect(feeds['input_values']!.dims).toEqual([2, 6]);
      expect([...feeds['input_values']!.data]).toEqual([...silent.data.subarray(0, 12)]);
      expect(lengths).toEqual(masked ? [4, 2] : [6, 6]);
      expect(audioFeeds(made, ports, clips).feeds['input_values']).toEqual(made.batch(clips)['input_values']);
    }
  });

  test('mask nothing where the graph asks for a mask that the model was trained without', () => {
    const ports = audioPorts(model({ input_values: values, attention_mask: mask }));
    const { feeds, lengths } = audioFeeds(extractor(false), ports, clips);
    expect(Array.from(feeds['attention_mask']!.data, Number)).toEqual(new Array(8).fill(1));
    expect(lengths).toEqual([4, 4]);
  });

  test('have the length and the batch that the graph insists on', () => {
    const ports = audioPorts(model({ input_values: { type: 'float32', dims: [2, 5] } }));
    expect(audioFeeds(extractor(false), ports, clips).feeds['input_values']!.dims).toEqual([2, 5]);
    expect(() => audioFeeds(extractor(false), ports, clips.slice(1))).toThrow(/batches of exactly 2/);
    const long = [float32(new Float32Array(6), [6]), clips[0]!];
    expect(() => audioFeeds(extractor(false), ports, long)).toThrow(/clips of exactly 5 samples, but one has 6/);
  });

  test('take clips together where padding is masked, else those of one length', () => {
    const three = [...clips, float32([7, 7, 7, 1], [4])];
    const ports = audioPorts(model({ input_values: values, attention_mask: mask }));
    expect(rowsAlike(extractor(true), ports, three)).toEqual([[0, 1, 2]]);
    expect(rowsAlike(extractor(false), ports, three)).toEqual([[0, 2], [1]]);
  });

  test('are refused to models that take other things', () => {
    const two = { input_values: values, input_ids: { type: 'int64', dims: ['batch', 'tokens'] } } as const;
    expect(() => audioPorts(model(two))).toThrow(/does not take sound alone.*"input_ids"/);
  });
});

test('frames that are sound are known of any kind of features', () => {
  const fed = { lengths: [4, 4], padded: 4 };
  const numbers = (feeds: Feeds): unknown => Object.entries(feeds).map(([name, { data }]) => [name, ...Array.from(data, Number)]); // prettier-ignore
  const own = clips.map((features) => ({ features }));
  // For samples without a mask, the clip's length; with one, what the mask says.
  expect(numbers(ownFrames(own, {}, fed, (length) => length / 2))).toEqual([['frames', 2, 1]]);
  expect(numbers(ownFrames(own, { mask: 'm' }, { lengths: [4, 2], padded: 4 }, undefined))).toEqual([
    ['shares', 1, 0.5],
  ]);
  // For spectrograms of fixed length, the share without silence.
  const windows = [3, 6].map((frames) => ({ features: float32(new Float32Array(24), [4, 6]), sound: { timeAxis: 1, frames } as const })); // prettier-ignore
  expect(numbers(ownFrames(windows, {}, fed, undefined))).toEqual([['shares', 0.5, 1]]);
  expect(framesOf(ownFrames(windows, {}, fed, undefined), 3)).toEqual([2, 3]);
});
