/** @file Tests of the feature extractors, from what their file says to the tensors of a batch. */

import { readFileSync } from 'node:fs';
import { int64, type Tensor } from '@onnx-lora/sdk';
import { describe, expect, it } from 'vitest';
import type { Audio, AudioReader, AudioStream } from '../audio/audio.ts';
import { resample } from '../audio/resample.ts';
import { FeatureExtractorFactory } from './featureExtractorFactory.ts';
import type { FeatureExtractor } from './featureExtractor.ts';
import { kaldiFilters } from './kaldiFilterBank.ts';
import { LogMel } from './logMel.ts';
import { normalise } from './waveform.ts';

interface Stacked {
  dims: number[];
  mask: number[][];
  first: number[];
  last: number[];
  padded: number[];
  end: number[];
}
/** Made by transformers: see fixtures/README.md. */
const golden = JSON.parse(readFileSync(new URL('../fixtures/features.json', import.meta.url), 'utf8')) as {
  ast: { rows: Record<string, number[]> };
  astFilterSums: { byMel: number[] };
  'whisper.normalised': { columns: Record<string, number[]> };
} & Record<'seamless0' | 'seamless1', Stacked> &
  Record<'wave.mask' | 'wave.nomask' | 'wave.plain', { values: number[][]; mask: number[][] | null }>;

const noise = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);
const fading = (length: number): Float32Array => noise(length).map((x, i) => (i < length / 2 ? x : x * 0.001));

/** A reader that gives the same sound for every file, a second at a time, and counts how many are asked for. */
class Playing implements AudioReader {
  readonly fileEndings: readonly string[] = ['.wav'];
  seconds = 0;
  readonly #audio: Audio;

  constructor(sampleRate: number, ...channels: Float32Array[]) {
    this.#audio = { sampleRate, channels };
  }

  read(): Promise<Audio> {
    return Promise.resolve(this.#audio);
  }

  stream(): Promise<AudioStream> {
    const { sampleRate, channels } = this.#audio;
    const secondsOf = async function* (this: Playing): AsyncGenerator<Float32Array[]> {
      for (let at = 0; at < (channels[0]?.length ?? 0); at += sampleRate) {
        this.seconds++;
        yield channels.map((channel) => channel.subarray(at, at + sampleRate));
      }
    };
    return Promise.resolve({ sampleRate, pieces: secondsOf.call(this) });
  }
}

const silent = new Playing(16_000);
const made = (type: string, config: Record<string, unknown> = {}, reader: AudioReader = silent): FeatureExtractor =>
  new FeatureExtractorFactory(reader).create(
    { feature_extractor_type: `${type}FeatureExtractor`, ...config },
    'm/preprocessor_config.json',
  );
const batchOf = (extractor: FeatureExtractor, ...clips: Float32Array[]): Record<string, Tensor> => ({
  ...extractor.batch(clips.map((clip) => extractor.extract(clip))),
});

function expectClose(got: ArrayLike<unknown>, expected: ArrayLike<number>, most: number): void {
  expect(got).toHaveLength(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs(Number(got[i]) - expected[i]!));
  expect(worst).toBeLessThan(most);
}

describe('FeatureExtractorFactory', () => {
  it('recognises what it can make', () => {
    const factory = new FeatureExtractorFactory(silent);
    expect(factory.domain).toBe('speech');
    expect(factory.fileEndings).toEqual(['.wav']);
    const types = ['Whisper', 'Wav2Vec2', 'AST', 'SeamlessM4T'].map((name) => `${name}FeatureExtractor`);
    for (const type of types) expect(factory.recognises({ feature_extractor_type: type })).toBe(true);
    for (const type of ['ViTFeatureExtractor', 'toString', 3, undefined]) {
      expect(factory.recognises({ feature_extractor_type: type })).toBe(false);
    }
    expect(() => factory.create({ feature_extractor_type: 'ClapFeatureExtractor' }, 'a.json')).toThrow(
      /"a.json": feature_extractor_type is "ClapFeatureExtractor", but one of AST.*Whisper.* is expected/,
    );
  });

  it.each([
    ['Whisper', { n_fft: 401 }, '"n_fft" must be a multiple of 4 that no prime but 2 and 5 divides, but is 401'],
    ['Whisper', { n_fft: 480 }, '"n_fft" must be a multiple of 4'],
    ['Whisper', { n_fft: 1e9 }, '"n_fft" must be a whole number from 16 to 4096, but is 1000000000'],
    ['Whisper', { feature_size: '80' }, '"feature_size" must be'],
    ['Whisper', { chunk_length: 1e12 }, '"chunk_length" must be'],
    ['Whisper', { hop_length: 0 }, '"hop_length" must be'],
    ['Whisper', { do_normalize: 'yes' }, '"do_normalize" must be true or false, but is "yes"'],
    ['Whisper', { dither: 0.1 }, '"dither" must be 0, but is 0.1'],
    ['Whisper', { padding_side: 'left' }, '"padding_side" must be "right", but is "left"'],
    ['Wav2Vec2', { feature_size: 2 }, '"feature_size" must be 1, but is 2'],
    ['Wav2Vec2', { sampling_rate: 1 }, '"sampling_rate" must be'],
    ['Wav2Vec2', { padding_value: 'x' }, '"padding_value" must be a number from -1 to 1, but is "x"'],
    ['AST', { sampling_rate: 44_100 }, '"sampling_rate" must be 16000, but is 44100'],
    ['AST', { max_length: 1e9 }, '"max_length" must be'],
    ['AST', { std: 0 }, '"std" must be'],
    ['SeamlessM4T', { stride: 1 }, '"stride" must be a whole number from 2 to 16'],
    ['SeamlessM4T', { num_mel_bins: 1e6 }, '"num_mel_bins" must be'],
  ])('refuses %s with %j', (type, change, message) => {
    expect(() => made(type, change)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`"m/preprocessor_config.json": ${message}`),
      }),
    );
  });
});

describe('WhisperFeatureExtractor', () => {
  const logMel = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 480_000 });

  it('mixes, resamples and gives [80, 3000], or 128 rows', async () => {
    const [left, right] = [noise(4000), noise(4000).map((x) => x / 2)];
    const reader = new Playing(8000, left, right);
    const { type, dims, data } = await made('Whisper', {}, reader).preprocess('a.wav');
    expect([type, dims]).toEqual(['float32', [80, 3000]]);
    const mixed = left.map((x) => (x + x / 2) / 2);
    expectClose(data, logMel.features(resample(mixed, 8000, 16_000)), 1e-9);
    expect(made('Whisper', { feature_size: 128 }).extract(noise(900)).dims).toEqual([128, 3000]);
  });

  it('hears the first chunk only, with the samples that resampling the whole would give', async () => {
    const long = noise(8000 * 9);
    const reader = new Playing(8000, long);
    const extractor = made('Whisper', { chunk_length: 1 }, reader);
    const short = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 16_000 });
    const { dims, data } = await extractor.preprocess('a.wav');
    expect([dims, extractor.maxSamples]).toEqual([[80, 100], 16_000]);
    expectClose(data, short.features(resample(long, 8000, 16_000)), 1e-9);
    expect(reader.seconds).toBeLessThanOrEqual(2);
  });

  it('normalises over the samples that are heard, as transformers does', () => {
    const { data } = made('Whisper', { chunk_length: 1, do_normalize: true }).extract(fading(12_000));
    for (const [column, expected] of Object.entries(golden['whisper.normalised'].columns)) {
      const got = expected.map((_, mel) => data[mel * 100 + Number(column)]);
      expectClose(got, expected, 2e-5);
    }
  });

  it('makes one batch of several clips, and says where the sound is', () => {
    const extractor = made('Whisper', { chunk_length: 1 });
    const feeds = batchOf(extractor, noise(900), noise(20_000));
    expect(Object.keys(feeds)).toEqual(['input_features']);
    expect(feeds['input_features']!.dims).toEqual([2, 80, 100]);
    expect(extractor.soundIn!(900)).toEqual({ timeAxis: 1, frames: 6 });
    expect(extractor.soundIn!(1e6)).toEqual({ timeAxis: 1, frames: 100 });
  });

  it('refuses samples that are no numbers', () => {
    for (const bad of [NaN, Infinity, 1e30]) {
      expect(() => made('Whisper').extract(noise(900).fill(bad, 700, 701))).toThrow(
        expect.objectContaining({ code: 'INPUT_INVALID', message: expect.stringContaining('finite') }),
      );
    }
  });
});

describe('Wav2Vec2FeatureExtractor', () => {
  it('refuses samples that are no numbers', () => {
    for (const do_normalize of [true, false]) {
      expect(() => made('Wav2Vec2', { do_normalize }).extract(noise(900).fill(NaN, 700, 701))).toThrow(/finite/);
    }
  });

  it.each([
    ['mask', { return_attention_mask: true }],
    ['nomask', { return_attention_mask: false }],
    ['plain', { do_normalize: false, return_attention_mask: true }],
  ] as const)('pads as transformers does: %s', (name, config) => {
    const { values, mask } = golden[`wave.${name}`];
    const clips = [noise(40).map((x) => x * 0.3 + 0.1), noise(25)];
    const feeds = batchOf(made('Wav2Vec2', config), ...clips);
    expect(feeds['input_values']!.dims).toEqual([2, 40]);
    expectClose(feeds['input_values']!.data, values.flat(), 1e-5);
    expect(feeds['attention_mask']).toEqual(mask ? int64(mask.flat(), [2, 40]) : undefined);
  });

  it('gives normalised samples of a file by default, and plain ones on request', async () => {
    for (const mask of [true, false]) {
      const reader = new Playing(16_000, noise(50));
      const { dims, data } = await made('Wav2Vec2', { return_attention_mask: mask }, reader).preprocess('a.wav');
      expect(dims).toEqual([50]);
      expectClose(data, normalise(noise(50)), 1e-9);
    }
    const plain = await made('Wav2Vec2', { do_normalize: false }, new Playing(8000, noise(50))).preprocess('a.wav');
    expect(plain.data).toEqual(resample(noise(50), 8000, 16_000));
    expect(made('Wav2Vec2')).not.toHaveProperty('soundIn');
  });

  it('refuses nothing, and clips of no length', () => {
    const extractor = made('Wav2Vec2');
    for (const clips of [[], [new Float32Array(0)]]) {
      expect(() => batchOf(extractor, ...clips)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }));
    }
  });
});

describe('ASTFeatureExtractor', () => {
  it('gives the normalised filter bank as transformers does, with padding after it', () => {
    const extractor = made('AST', { max_length: 24 });
    const { dims, data } = extractor.extract(fading(2880));
    expect(dims).toEqual([24, 128]);
    for (const [row, expected] of Object.entries(golden.ast.rows)) {
      expectClose(Array.from(data, Number).slice(Number(row) * 128, (Number(row) + 1) * 128), expected, 1e-4);
    }
    expect(extractor.soundIn!(2880)).toEqual({ timeAxis: 0, frames: 16 });
    expect(batchOf(extractor, noise(2880), noise(9999))['input_values']!.dims).toEqual([2, 24, 128]);
  });

  it('has the filters of transformers', () => {
    const filters = kaldiFilters(257, 128, 16_000, 20, 8000);
    const sums = golden.astFilterSums.byMel.map((_, mel) =>
      filters.reduce((sum, weight, i) => (i % 128 === mel ? sum + weight : sum), 0),
    );
    expectClose(sums, golden.astFilterSums.byMel, 1e-9);
  });

  it('hears the beginning of a long clip, and leaves out normalising on request', () => {
    const extractor = made('AST', { max_length: 5, do_normalize: false });
    expect(extractor.maxSamples).toBe(1040);
    expect(extractor.extract(noise(5000))).toEqual(extractor.extract(noise(1040)));
    const normalised = made('AST', { max_length: 5, mean: 1, std: 2 }).extract(noise(1040));
    expectClose(
      normalised.data,
      Array.from(extractor.extract(noise(1040)).data, Number).map((x) => (x - 1) / 4),
      1e-6,
    );
  });

  it('refuses what is shorter than a frame', () => {
    expect(() => made('AST').extract(noise(399))).toThrow(
      'A clip of 399 samples is too short: the model hears 400 at a time.',
    );
  });
});

describe('SeamlessM4TFeatureExtractor', () => {
  it.each([0, 1] as const)('normalises, pads with %i and stacks as transformers does', (padding) => {
    const { dims, mask, first, last, padded, end } = golden[`seamless${padding}`];
    const feeds = batchOf(made('SeamlessM4T', { padding_value: padding }), fading(2880), noise(1500));
    const { input_features, attention_mask } = feeds;
    expect(input_features!.dims).toEqual(dims);
    expect(attention_mask).toEqual(int64(mask.flat(), [2, dims[1]!]));
    const row = (clip: number, i: number): number[] =>
      Array.from(input_features!.data, Number).slice((clip * dims[1]! + i) * 160, (clip * dims[1]! + i + 1) * 160);
    expectClose(row(0, 0), first, 1e-3);
    expectClose(row(0, dims[1]! - 1), last, 1e-3);
    expectClose(row(1, 3), padded, 1e-3);
    expectClose(row(1, dims[1]! - 1).slice(0, 1), end, 1e-9);
  });

  it('refuses what is shorter than the frames that go together', () => {
    expect(() => made('SeamlessM4T').extract(noise(559))).toThrow('the model hears 560 at a time');
    expect(() => made('SeamlessM4T').batch([])).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }));
  });
});
