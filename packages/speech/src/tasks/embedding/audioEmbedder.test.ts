/** @file Embeddings of recordings. */

import { float32, int64, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { beforeAll, describe, expect, test } from 'vitest';
import { AudioFileReader } from '../../audio/audioFileReader.ts';
import { toWave } from '../../audio/formats/wav.ts';
import { FeatureExtractorFactory } from '../../features/featureExtractorFactory.ts';
import { tones } from '../../../../../test/fixtures/tones.ts';
import { wav2vec2 } from '../../../../../test/fixtures/wav2vec2.ts';
import { audioEmbeddingTask, audioFeature, frameMeans, openAudioEmbedder } from './audioEmbedder.ts';

let model: Model;
beforeAll(async () => {
  model = await openModel(wav2vec2);
});

test('a mean leaves out padding', () => {
  const states = float32([1, 2, 3, 4, 100, 100, 5, 6, 7, 8, 9, 10], [2, 3, 2]);
  expect([...frameMeans({ states }, 'states', { frames: int64([2, 3], [2]) }).data]).toEqual([2, 3, 7, 8]);
  const one = { frames: int64([0], [1]) };
  expect(frameMeans({ states: float32([1, 2], [1, 2]) }, 'states', one).dims).toEqual([1, 2]);
  expect(() => frameMeans({ states: float32([Number.NaN, 2], [1, 2]) }, 'states', one)).toThrow(/holds NaN/);
});

describe('an embedder', () => {
  test('gives each recording the vector that it has alone, near to that of its kind', async () => {
    const embedder = await openAudioEmbedder(model);
    const sources = ['ABAB', 'EDE', 'BABABA'].map((text) => tones(text));
    const { dims, data } = await embedder.embed(sources);
    expect(dims).toEqual([3, 32]);
    const rows = [0, 1, 2].map((row) => (data as Float32Array).subarray(row * 32, (row + 1) * 32));
    for (const [i, source] of sources.entries()) {
      const alone = await embedder.embed([source]);
      expect(distance(rows[i]!, alone.data as Float32Array)).toBeLessThan(1e-4);
    }
    expect(distance(rows[0]!, rows[2]!)).toBeLessThan(0.5 * distance(rows[0]!, rows[1]!));
    await embedder.release();
  });

  test('answers for bytes as they come', async () => {
    const reader = new AudioFileReader();
    const factory = audioEmbeddingTask(reader, [new FeatureExtractorFactory(reader)]);
    const { channels } = tones('AB');
    async function* bytes(): AsyncGenerator<Uint8Array> {
      yield toWave(channels[0]!, 16_000);
    }
    await expect(factory.create({ data: 'x', seed: 0 }).prepare(model)).rejects.toThrow(/only answers/);
    const embedder = await openAudioEmbedder(model);
    const expected: Tensor = await embedder.embed([tones('AB')]);
    await embedder.release();
    const predictor = await factory.predictor(model);
    for await (const { prediction } of predictor.predict([bytes()])) {
      const { width, embedding } = prediction;
      expect(width).toBe(32);
      // The bytes have 16 bits.
      expect(distance(embedding as Float32Array, expected.data as Float32Array)).toBeLessThan(1e-2);
    }
    const endless = async function* (): AsyncGenerator<Float32Array[]> {
      for (;;) yield [new Float32Array(1000)];
    };
    const stream = (): ReturnType<AudioFileReader['stream']> => Promise.resolve({ sampleRate: 1, pieces: endless() });
    const never = await audioEmbeddingTask(Object.assign(new AudioFileReader(), { stream }), [
      new FeatureExtractorFactory(reader),
    ]).predictor(model);
    await expect(never.predict([bytes()])[Symbol.asyncIterator]().next()).rejects.toThrow('more than 3600 s');
    await never.release();
    await predictor.release();
  });

  test('names what a model lacks', () => {
    expect(() => audioFeature(model, 'logit')).toThrow(/no output "logit".*Did you mean "logits"/);
    expect(audioFeature(model).inner).toHaveLength(1);
    expect(audioFeature(model, 'logits')).toMatchObject({ output: 'logits', inner: [] });
  });
});

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.hypot(...Array.from(a, (value, i) => value - b[i]!));
}
