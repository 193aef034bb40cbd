/** @file Tests of the preprocessors, from a file's samples to the tensor. */

import { describe, expect, it } from 'vitest';
import type { AudioReader } from '../audio/audio.ts';
import { LogMel } from './logMel.ts';
import { Wav2Vec2PreprocessorFactory, WhisperPreprocessorFactory } from './preprocessor.ts';
import { resample } from '../audio/resample.ts';
import { batchWaveforms, normalise } from './waveform.ts';

const noise = (length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * 17) % 2003) / 1001.5 - 1);
const playing = (sampleRate: number, ...channels: Float32Array[]): AudioReader => ({
  read: async () => ({ sampleRate, channels }),
});
/** Compares by hand: a printed difference of 240,000 values helps nobody. */
const differences = (got: ArrayLike<unknown>, expected: Float32Array): number =>
  got.length === expected.length ? expected.filter((value, i) => value !== got[i]).length : Infinity;
const published = {
  feature_extractor_type: 'WhisperFeatureExtractor',
  chunk_length: 30,
  feature_size: 80,
  hop_length: 160,
  n_fft: 400,
  n_samples: 480_000,
  padding_side: 'right',
  padding_value: 0,
  return_attention_mask: false,
  sampling_rate: 16_000,
};

describe('WhisperPreprocessorFactory', () => {
  const create = (reader: AudioReader, config: Record<string, unknown> = published) =>
    new WhisperPreprocessorFactory(reader).create(config, 'm/preprocessor_config.json');

  it('recognises its own configuration only', () => {
    const factory = new WhisperPreprocessorFactory(playing(16_000));
    expect(factory.recognises(published)).toBe(true);
    expect(factory.recognises({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' })).toBe(false);
    expect(factory.recognises({})).toBe(false);
    expect(factory.fileEndings).toEqual(['.wav']);
  });

  it('mixes, resamples and gives [80, 3000], or 128 rows', async () => {
    const [left, right] = [noise(4000), noise(4000).map((x) => x / 2)];
    const { type, dims, data } = await create(playing(8000, left, right)).preprocess('a.wav');
    expect([type, dims]).toEqual(['float32', [80, 3000]]);
    const logMel = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 480_000 });
    expect(data).toEqual(
      logMel.features(
        resample(
          left.map((x) => (x + x / 2) / 2),
          8000,
          16_000,
        ),
      ),
    );
    const large = await create(playing(16_000, noise(900)), { ...published, feature_size: 128 }).preprocess('a.wav');
    expect(large.dims).toEqual([128, 3000]);
  });

  it('hears the first chunk only, with the samples that resampling the whole would give', async () => {
    const config = { ...published, chunk_length: 1 };
    const [long, logMel] = [
      noise(8000 * 4),
      new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 16_000 }),
    ];
    const { dims, data } = await create(playing(8000, long), config).preprocess('a.wav');
    expect(dims).toEqual([80, 100]);
    expect(differences(data, logMel.features(resample(long, 8000, 16_000)))).toBe(0);
  });

  it('normalises over the real samples where the file says so', async () => {
    const { data } = await create(playing(16_000, noise(900)), { ...published, do_normalize: true }).preprocess(
      'a.wav',
    );
    const logMel = new LogMel({ sampleRate: 16_000, mels: 80, frameLength: 400, hop: 160, length: 480_000 });
    expect(differences(data, logMel.features(normalise(noise(900))))).toBe(0);
  });

  it.each([
    [{ n_fft: 401 }, 'n_fft is 401, but an even number'],
    [{ n_fft: 2 * 251 }, 'largest odd divisor'],
    [{ n_fft: 1e9 }, 'n_fft is 1000000000, but a whole number from 16 to 4096 is expected'],
    [{ feature_size: '80' }, 'feature_size is "80"'],
    [{ chunk_length: 1e12 }, 'chunk_length is 1000000000000'],
    [{ hop_length: 0 }, 'hop_length is 0'],
    [{ do_normalize: 'yes' }, 'do_normalize is "yes", but true or false is expected'],
    [{ dither: 0.1 }, 'dither is 0.1, but 0 is expected'],
    [{ padding_side: 'left' }, 'padding_side is "left", but "right" is expected'],
  ])('refuses %j', (change, message) => {
    expect(() => create(playing(16_000), { ...published, ...change })).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`"m/preprocessor_config.json": ${message}`.slice(0, 28)),
      }),
    );
    expect(() => create(playing(16_000), { ...published, ...change })).toThrow(message);
  });
});

describe('Wav2Vec2PreprocessorFactory', () => {
  const create = (reader: AudioReader, config: Record<string, unknown> = {}) =>
    new Wav2Vec2PreprocessorFactory(reader).create(config, 'm/preprocessor_config.json');

  it('gives normalised samples by default and plain ones on request', async () => {
    const { dims, data } = await create(playing(16_000, new Float32Array([1, 2, 3]))).preprocess('a.wav');
    expect(dims).toEqual([3]);
    // √1.5, the variance of 1, 2, 3 being 2/3.
    expect([...data].map(Number)).toEqual(
      [-1.2247447967529297, 0, 1.2247447967529297].map((x) => expect.closeTo(x, 6)),
    );
    const plain = await create(playing(8000, noise(50)), { do_normalize: false }).preprocess('a.wav');
    expect(plain.data).toEqual(resample(noise(50), 8000, 16_000));
  });

  it('refuses what it cannot do', () => {
    expect(() => create(playing(16_000), { feature_size: 2 })).toThrow('feature_size is 2, but 1 is expected');
    expect(
      new Wav2Vec2PreprocessorFactory(playing(1)).recognises({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }),
    ).toBe(true);
  });
});

describe('batchWaveforms', () => {
  const clips = [new Float32Array([1, 3]), new Float32Array([5])];

  it('pads with zeros after normalising each clip, and says so in the mask', () => {
    const { input_values, attention_mask } = batchWaveforms(clips, { normalise: true, mask: true });
    expect([...input_values!.data].map(Number)).toEqual([-1, 1, 0, 0].map((x) => expect.closeTo(x, 6)));
    expect(attention_mask).toEqual({ type: 'int64', dims: [2, 2], data: new BigInt64Array([1n, 1n, 1n, 0n]) });
  });

  it('normalises over the padding without a mask', () => {
    const feeds = batchWaveforms(clips, { normalise: true, mask: false, length: 2 });
    expect(Object.keys(feeds)).toEqual(['input_values']);
    expect([...feeds['input_values']!.data].map(Number)).toEqual([-1, 1, 1, -1].map((x) => expect.closeTo(x, 6)));
  });

  it('refuses nothing and silence of no length', () => {
    for (const bad of [[], [new Float32Array(0)]]) {
      expect(() => batchWaveforms(bad, { normalise: false, mask: false })).toThrow(
        expect.objectContaining({ code: 'INPUT_INVALID' }),
      );
    }
  });
});
