/** @file The window's remainder if only its beginning is computed. */

import { describe, expect, it } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { contextOf, shortExtractor } from './audioContext.ts';
import { FeatureExtractorFactory } from './featureExtractorFactory.ts';

const factory = new FeatureExtractorFactory(new AudioFileReader());
const whisper = factory.create({ feature_extractor_type: 'WhisperFeatureExtractor' }, 'preprocessor_config.json');
const noise = (seconds: number): Float32Array =>
  Float32Array.from({ length: seconds * 16_000 }, (_, i) => Math.sin(i * i) / 4);

describe('the seconds that are heard', () => {
  it.each([
    ['full', 3, undefined],
    ['auto', 4.6, 5],
    // With less the model would hardly know its input.
    ['auto', 0.7, 4],
    ['auto', 19.5, 20],
    ['auto', 20.1, undefined],
    [7.5, 3, 7.5],
    [30, 3, undefined],
  ] as const)('%s, with clips of up to %f s: %s', (context, longest, expected) => {
    expect(contextOf(context, longest, 30)).toBe(expected);
  });

  it.each([0, -1, Number.NaN])('%f are none', (context) => {
    expect(() => contextOf(context, 3, 30)).toThrow('contextSeconds');
  });
});

describe('features of the beginning', () => {
  it.each([
    [4, 550, 650, { first: 550, spread: 600, last: 50 }],
    [Infinity, 500, 0, 500],
  ] as const)("are the whole window's first and last frames, one of %d in between", (standsFor, first, last, size) => {
    const short = shortExtractor(whisper, 5, standsFor)!;
    expect(short).toMatchObject({ axis: 2, maxSamples: 80_000, sizes: { input_features: { 2: size } } });
    const clip = noise(2.3);
    const [whole, cut] = [whisper.extract(clip), short.extract(clip)];
    const frames = first + last;
    expect(cut.dims).toEqual([80, frames]);
    for (const row of [0, 41, 79]) {
      const all = (whole.data as Float32Array).slice(row * 3000, (row + 1) * 3000);
      const wanted = [...all.slice(0, first), ...all.slice(3000 - last)];
      expect(Array.from((cut.data as Float32Array).slice(row * frames, (row + 1) * frames))).toEqual(wanted);
    }
    expect(short.soundIn!(clip.length)).toEqual(whisper.soundIn!(clip.length));
    expect(short.batch([cut, cut])['input_features']!.dims).toEqual([2, 80, frames]);
  });

  it('are silence where they are left out', () => {
    const { data } = whisper.extract(noise(5));
    // In each band, all frames after half a second of silence are equal, so that one may stand for others.
    for (const row of [0, 41, 79]) expect(new Set((data as Float32Array).slice(row * 3000 + 550, (row + 1) * 3000)).size).toBe(1); // prettier-ignore
  });

  it('come in pairs, and not where they are all', () => {
    expect(shortExtractor(whisper, 4.015)!.sizes).toEqual({
      input_features: { 2: { first: 452, spread: 626, last: 50 } },
    });
    for (const seconds of [29, 60]) expect(shortExtractor(whisper, seconds)).toBeUndefined();
  });

  it('are not made of a clip that continues', () => {
    const short = shortExtractor(whisper, 5)!;
    expect(() => short.extract(noise(5.2))).toThrow(/lasts 5\.2 s.*contextSeconds/);
  });

  it('are not made where every clip has its own length', () => {
    const wav2vec2 = factory.create({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }, 'preprocessor_config.json');
    expect(shortExtractor(wav2vec2, 5)).toBeUndefined();
  });
});
