/** @file What is left of a window of which only the beginning is heard. */

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
  it("are the whole window's first frames", () => {
    const short = shortExtractor(whisper, 5)!;
    expect(short).toMatchObject({ frames: 500, axis: 2, maxSamples: 80_000, inputName: 'input_features' });
    const clip = noise(2.3);
    const [whole, cut] = [whisper.extract(clip), short.extract(clip)];
    expect(cut.dims).toEqual([80, 500]);
    for (const row of [0, 41, 79]) {
      const wanted = (whole.data as Float32Array).slice(row * 3000, row * 3000 + 500);
      expect((cut.data as Float32Array).slice(row * 500, (row + 1) * 500)).toEqual(wanted);
    }
    expect(short.soundIn!(clip.length)).toEqual(whisper.soundIn!(clip.length));
    expect(short.batch([cut, cut])['input_features']!.dims).toEqual([2, 80, 500]);
  });

  it('come in pairs', () => {
    expect(shortExtractor(whisper, 4.015)!.frames).toBe(402);
    expect(shortExtractor(whisper, 60)!.frames).toBe(3000);
  });

  it('are not made of a clip that goes on', () => {
    const short = shortExtractor(whisper, 5)!;
    expect(() => short.extract(noise(5.2))).toThrow(/lasts 5\.2 s.*contextSeconds/);
  });

  it('are not made where every clip has its own length', () => {
    const wav2vec2 = factory.create({ feature_extractor_type: 'Wav2Vec2FeatureExtractor' }, 'preprocessor_config.json');
    expect(shortExtractor(wav2vec2, 5)).toBeUndefined();
  });
});
