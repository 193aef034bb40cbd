import { float32, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import type { Audio, AudioReader } from '../audio/audio.ts';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import { clipLengths } from './clipLengths.ts';
import { dataFolder } from '../fixtures/dataFolder.ts';
import { SpeechDataset, type SpeechLoading } from './speechDataset.ts';
import type { SpeechRecord } from './speechRecord.ts';

const sound = (...samples: number[]): Audio => ({ sampleRate: 4, channels: [Float32Array.from(samples)] });

/** Gives samples as they are, and counts. */
function extractor(more: Partial<FeatureExtractor> = {}): {
  readonly calls: number[];
  readonly extractor: FeatureExtractor;
} {
  const calls: number[] = [];
  const extract = (samples: Float32Array): Tensor => {
    calls.push(samples.length);
    return float32(samples, [samples.length]);
  };
  const none = (): never => {
    throw new Error('not asked');
  };
  return {
    calls,
    extractor: { sampleRate: 4, inputName: 'input_values', extract, preprocess: none, batch: none, ...more },
  };
}

const records: SpeechRecord[] = [
  { audio: sound(1, 2, 3, 4, 5, 6, 7, 8), where: 'first', labels: ['a'] },
  { audio: sound(1, 2, 3, 4, 5, 6, 7, 8), span: { start: 0.5, end: 1.5 }, where: 'second', labels: ['b'] },
  { audio: sound(9, 9), where: 'third', labels: ['b'] },
];
const dataset = (loading: Partial<SpeechLoading>, own = extractor().extractor): SpeechDataset<string> =>
  new SpeechDataset(records, ['x', 'y', 'z'], { reader: new AudioFileReader(), extractor: own, seed: 1, ...loading });

describe('a dataset of recordings', () => {
  test('loads what is meant of each, once', async () => {
    const { calls, extractor: own } = extractor();
    const data = dataset({}, own);
    expect(data.length).toBe(3);
    expect(data.nameOf(1)).toBe('second');
    expect(data.isDeterministic).toBe(true);
    expect(data.weights).toEqual([1, 1 / 2, 1 / 2]);
    const [example, again] = await Promise.all([data.get(1), data.get(1, 7)]);
    expect(example).toEqual({ where: 'second', features: float32([3, 4, 5, 6], [4]), target: 'y' });
    expect(again).toEqual({ ...example, draw: 7 });
    expect((await data.get(1, 8)).features).toBe(example.features);
    expect(calls).toEqual([4]);
    await expect(data.get(3)).rejects.toThrow('There is no example 3');
  });

  test('keeps no more in memory than it may', async () => {
    const { calls, extractor: own } = extractor();
    const data = dataset({ cacheBytes: 33 }, own);
    for (const index of [0, 1, 2, 0, 1, 2]) await data.get(index);
    // 32 bytes are kept of the first; neither of the others has room.
    expect(calls).toEqual([8, 4, 2, 4, 2]);
  });

  test('changes sound at random in training alone, the same for the same draw', async () => {
    const { calls, extractor: own } = extractor();
    const seeds: number[] = [];
    const augmentWave = (samples: Float32Array, rate: number, seed: number): Float32Array => {
      seeds.push(seed);
      return samples.map((sample) => sample * rate + seed);
    };
    const data = dataset({ augmentWave }, own);
    expect(data.isDeterministic).toBe(false);
    const first = await data.get(2, 5);
    expect([...first.features.data]).toEqual([...new Float32Array(2).fill(36 + seeds[0]!)]);
    expect((await data.get(2, 5)).features).toEqual(first.features);
    expect((await data.get(2, 6)).features).not.toEqual(first.features);
    expect([...(await data.get(2)).features.data]).toEqual([9, 9]);
    expect([...(await data.get(2)).features.data]).toEqual([9, 9]);
    expect(calls).toHaveLength(4);
    const other = dataset({ augmentWave, seed: 2 });
    expect((await other.get(2, 5)).features).not.toEqual(first.features);
  });

  test('hides parts of spectrograms at random, where features are such', async () => {
    const augmentFeatures = (_: Tensor, { frames }: { frames: number }, seed: number): Tensor =>
      float32([frames, seed], [2]);
    const plain = dataset({ augmentFeatures });
    expect(plain.isDeterministic).toBe(true);
    expect([...(await plain.get(2, 1)).features.data]).toEqual([9, 9]);
    const { calls, extractor: own } = extractor({ soundIn: (frames) => ({ timeAxis: 0, frames }) });
    const data = dataset({ augmentFeatures }, own);
    expect(data.isDeterministic).toBe(false);
    const draws = [await data.get(2, 1), await data.get(2, 2), await data.get(2, 1)].map(({ features }) => [
      ...features.data,
    ]);
    expect(draws[0]![0]).toBe(2);
    expect(draws[0]).toEqual(draws[2]);
    expect(draws[0]).not.toEqual(draws[1]);
    expect([...(await data.get(2)).features.data]).toEqual([9, 9]);
    // Nothing is extracted again for it.
    expect(calls).toEqual([2]);
  });

  test('names the recording that cannot be read, and where the data names it', async () => {
    const failure = new OnnxLoraError('DATA_INVALID', 'It is broken.');
    const reader: AudioReader = {
      fileEndings: [],
      read: () => Promise.reject(failure),
      stream: () => Promise.reject(failure),
    };
    await expect(dataset({ reader }).get(0)).rejects.toMatchObject({
      code: 'DATA_INVALID',
      message: 'first: It is broken.',
    });
    const own = { ...reader, read: () => Promise.reject(new TypeError('mine')) };
    await expect(dataset({ reader: own }).get(0)).rejects.toThrow(TypeError);
  });
});

describe('lengths', () => {
  test('are seconds where the data says them', async () => {
    const audio = 'none.wav';
    const known: SpeechRecord[] = [
      { audio, where: '', duration: 2 },
      { audio, where: '', span: { start: 1, end: 1.5 } },
      { audio: sound(1, 2), where: '' },
      { audio: sound(1, 2, 3, 4), span: { start: 0.25 }, where: '' },
    ];
    expect(await clipLengths(known)).toEqual([2, 0.5, 0.5, 0.75]);
    expect(await clipLengths([...known, { audio, where: '' }])).toBeUndefined();
  });

  test('are bytes where nothing says seconds', async () => {
    const root = dataFolder({ 'a.wav': 'xxx', 'b.wav': 'xxxxx' });
    const files = ['a.wav', 'b.wav'].map((name) => ({ audio: `${root}/${name}`, where: name }));
    expect(await clipLengths([...files, { audio: new Uint8Array(4), where: '' }])).toEqual([3, 5, 4]);
    expect(await clipLengths([{ ...files[0]!, span: { start: 1 } }])).toBeUndefined();
  });
});
