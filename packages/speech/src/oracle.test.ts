/** @file Holds the speech preprocessing against numbers of libsndfile, torchaudio and transformers, where present. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { toMono } from './audio/audio.ts';
import { FeatureExtractorFactory } from './features/featureExtractorFactory.ts';
import { kaldiFilters } from './features/kaldiFilterBank.ts';
import { LogMel, melFilters } from './features/logMel.ts';
import { resample } from './audio/resample.ts';
import { batchWaveforms, normalise } from './features/waveform.ts';
import { AudioFileReader } from './audio/audioFileReader.ts';

// Real recordings under licences that do not suit the repository; kept beside a checkout instead of in it.
const oracle = fileURLToPath(new URL('../../../../shared/oracle/preprocess/speech/', import.meta.url));
const present = existsSync(oracle);

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(`${oracle}${name}`, 'utf8')) as T;
}

interface Stored {
  shape: number[];
  data: Float32Array | Float64Array | number[];
}

/** The tensors of a safetensors file, int64 as numbers. */
function readTensors(name: string): Map<string, Stored> {
  const file = readFileSync(`${oracle}${name}`);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Stored>();
  for (const [key, { dtype, shape, data_offsets }] of Object.entries(header)) {
    const [start, end] = data_offsets;
    const bytes = Uint8Array.from(file.subarray(8 + length + start, 8 + length + end)).buffer;
    const data =
      dtype === 'F32'
        ? new Float32Array(bytes)
        : dtype === 'F64'
          ? new Float64Array(bytes)
          : Array.from(new BigInt64Array(bytes), Number);
    tensors.set(key, { shape, data });
  }
  return tensors;
}

function worst(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(got.length).toBe(expected.length);
  let max = 0;
  for (let i = 0; i < got.length; i++) {
    const difference = Math.abs(got[i]! - expected[i]!);
    max = Number.isNaN(difference) ? Infinity : Math.max(max, difference);
  }
  return max;
}

describe.skipIf(!present)('against the oracle (needs ../shared beside the checkout)', () => {
  const reader = new AudioFileReader();
  const made = (type: string, config: Record<string, unknown> = {}) =>
    new FeatureExtractorFactory(reader).create(
      { feature_extractor_type: `${type}FeatureExtractor`, ...config },
      'preprocessor_config.json',
    );

  it('decodes every kind of WAV as libsndfile does', async () => {
    const files =
      readJson<Record<string, { rate: number; channels: number; frames: number; sum_abs: number }>>('decode.json');
    const expected = readTensors('decode.safetensors');
    expect(Object.keys(files)).toHaveLength(12);
    for (const [name, { rate, channels, frames, sum_abs }] of Object.entries(files)) {
      const audio = await reader.read(`${oracle}wav/${name}.wav`);
      expect([audio.sampleRate, audio.channels.length, audio.channels[0]?.length], name).toEqual([
        rate,
        channels,
        frames,
      ]);
      const { shape, data } = expected.get(name)!;
      const stored = audio.channels.flatMap((channel) => [...channel.subarray(0, shape[1])]);
      expect(worst(stored, data), name).toBeLessThanOrEqual(1e-7);
      const sum = audio.channels.reduce((all, channel) => channel.reduce((acc, x) => acc + Math.abs(x), all), 0);
      expect(Math.abs(sum - sum_abs) / sum_abs, name).toBeLessThan(1e-9);
    }
  });

  it('resamples to 16 kHz as torchaudio does', async () => {
    const expected = readTensors('resample.safetensors');
    const clips = [...expected.keys()].filter((key) => key.endsWith('.sinc'));
    expect(clips).toHaveLength(5);
    for (const key of clips) {
      const audio = await reader.read(`${oracle}wav/${key.replace(/\.sinc$/, '')}.wav`);
      const got = resample(toMono(audio), audio.sampleRate, 16_000);
      expect(worst(got, expected.get(key)!.data), key).toBeLessThan(1e-6);
    }
  });

  it("makes Whisper's filters and features as transformers does", () => {
    const tensors = readTensors('whisper.safetensors');
    const rests = readJson<Record<string, { stored_frames: number; rest_min: number }>>('whisper.json');
    for (const mels of [80, 128]) {
      expect(worst(melFilters(201, mels, 16_000, 8000), tensors.get(`whisper${mels}.mel_filters`)!.data)).toBeLessThan(
        1e-12,
      );
    }
    for (const [key, { stored_frames: stored, rest_min: rest }] of Object.entries(rests)) {
      const [, mels, clip, normalised] = /^whisper(\d+)\.(.)(\.do_normalize)?$/.exec(key)!;
      const logMel = new LogMel({
        sampleRate: 16_000,
        mels: Number(mels),
        frameLength: 400,
        hop: 160,
        length: 480_000,
      });
      const audio = Float32Array.from(tensors.get(`audio.${clip}`)!.data);
      const got = logMel.features(normalised ? normalise(audio) : audio);
      const rows = Array.from({ length: Number(mels) }, (_, row) => got.subarray(row * 3000, (row + 1) * 3000));
      expect(
        worst(
          rows.flatMap((row) => [...row.subarray(0, stored)]),
          tensors.get(key)!.data,
        ),
        key,
      ).toBeLessThan(1e-4);
      expect(
        worst(
          rows.flatMap((row) => [...row.subarray(stored)]),
          Array<number>(Number(mels) * (3000 - stored)).fill(rest),
        ),
        key,
      ).toBeLessThan(1e-4);
    }
  });

  it('goes from file to features', async () => {
    const tensors = readTensors('whisper.safetensors');
    const preprocessor = made('Whisper');
    const { type, dims, data } = await preprocessor.preprocess(`${oracle}wav/16k-float32-mono.wav`);
    expect([type, dims]).toEqual(['float32', [80, 3000]]);
    const stored = tensors.get('whisper80.c')!;
    const columns = stored.shape[1]!;
    const got = Array.from(stored.data, (_, i) => Number(data[Math.floor(i / columns) * 3000 + (i % columns)]));
    expect(worst(got, stored.data)).toBeLessThan(1e-4);
  });

  it('normalises and pads as Wav2Vec2FeatureExtractor does', async () => {
    const tensors = readTensors('wav2vec2.safetensors');
    const clips = [0, 1, 2].map((i) => Float32Array.from(tensors.get(`input.${i}`)!.data));
    const cases = { mask: {}, nomask: { mask: false }, max8000: { length: 8000 } };
    for (const [name, options] of Object.entries(cases)) {
      const got = batchWaveforms(clips, { normalise: true, mask: true, ...options });
      const expected = tensors.get(`${name}.input_values`)!;
      expect(got['input_values']!.dims).toEqual(expected.shape);
      expect(worst(got['input_values']!.data as Float32Array, expected.data), name).toBeLessThan(1e-5);
      const mask = tensors.get(`${name}.attention_mask`);
      expect(got['attention_mask'] && Array.from(got['attention_mask'].data, Number)).toEqual(mask?.data);
    }
    const extractor = made('Wav2Vec2');
    const alone = extractor.batch([extractor.extract(clips[1]!)])['input_values']!;
    const masked = tensors.get('mask.input_values')!.data;
    expect(worst(alone.data as Float32Array, masked.slice(11_000, 20_000))).toBeLessThan(1e-5);
  });

  it("makes AST's filter bank as torchaudio does, and w2v-BERT's as SeamlessM4TFeatureExtractor does", () => {
    const tensors = readTensors('kaldi.safetensors');
    const input = Float32Array.from(tensors.get('input')!.data);
    for (const [type, mels] of [
      ['ast_numpy', 128],
      ['seamless', 80],
    ] as const) {
      const filters = tensors.get(`${type}.mel_filters`)!.data;
      expect(worst(kaldiFilters(257, mels, 16_000, 20, 8000), filters)).toBeLessThan(1e-12);
    }
    const { shape, data } = tensors.get('ast.input_values')!;
    const ast = made('AST', { max_length: shape[1] });
    expect(worst(ast.extract(input).data as Float32Array, data)).toBeLessThan(1e-3);
    const seamless = made('SeamlessM4T');
    const clips = [input, input.subarray(5000, 15_000)].map((clip) => seamless.extract(clip));
    const { input_features, attention_mask } = seamless.batch(clips);
    expect(input_features!.dims).toEqual(tensors.get('seamless.input_features')!.shape);
    expect(worst(input_features!.data as Float32Array, tensors.get('seamless.input_features')!.data)).toBeLessThan(
      1e-3,
    );
    // The file holds the mask column by column.
    const mask = tensors.get('seamless.attention_mask')!;
    const [rows, columns] = mask.shape as [number, number];
    const expected = Array.from(
      { length: rows * columns },
      (_, i) => mask.data[(i % columns) * rows + Math.floor(i / columns)],
    );
    expect(Array.from(attention_mask!.data, Number)).toEqual(expected);
  });
});
