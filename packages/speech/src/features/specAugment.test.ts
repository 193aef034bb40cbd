/** @file Tests of SpecAugment: what it hides, and what it leaves. */

import { float32, type Tensor } from '@onnx-lora/sdk';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AudioFrames } from './featureExtractor.ts';
import { specAugment, type SpecAugmentOptions } from './specAugment.ts';

/** Features `[frames, mels]` without any 0. */
const features = (frames: number, mels: number): Tensor =>
  float32(
    Float32Array.from({ length: frames * mels }, (_, i) => i + 1),
    [frames, mels],
  );

/** Which frames, and which mel bins, have nothing left in the first `sound` frames. */
function hiddenIn({ data, dims }: Tensor, sound: number): { frames: number[]; mels: number[] } {
  const [frames, mels] = dims as [number, number];
  const isHidden = (frame: number, mel: number): boolean => data[frame * mels + mel] === 0;
  const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  return {
    frames: upTo(frames).filter((frame) => upTo(mels).every((mel) => isHidden(frame, mel))),
    mels: upTo(mels).filter((mel) => sound > 0 && upTo(sound).every((frame) => isHidden(frame, mel))),
  };
}

const cases = fc.record({
  frames: fc.integer({ min: 1, max: 60 }),
  padding: fc.integer({ min: 0, max: 20 }),
  mels: fc.integer({ min: 1, max: 24 }),
  seed: fc.nat(),
  options: fc.record({
    maskTimeProb: fc.double({ min: 0, max: 0.6, noNaN: true }),
    maskTimeLength: fc.integer({ min: 1, max: 12 }),
    maskTimeMinMasks: fc.integer({ min: 0, max: 4 }),
    maskFeatureProb: fc.double({ min: 0, max: 0.4, noNaN: true }),
    maskFeatureLength: fc.integer({ min: 1, max: 8 }),
    maskFeatureMinMasks: fc.integer({ min: 0, max: 3 }),
  }),
});

describe('specAugment', () => {
  it('hides whole frames and whole bins of the sound, and changes nothing else', () => {
    fc.assert(
      fc.property(cases, ({ frames, padding, mels, seed, options }) => {
        const before = features(frames + padding, mels);
        const kept = before.data.slice();
        const sound: AudioFrames = { timeAxis: 0, frames };
        const after = specAugment(before, sound, options, seed);
        expect(before.data).toEqual(kept);
        expect(specAugment(before, sound, options, seed)).toEqual(after);
        const hidden = hiddenIn(after, frames);
        const explained = Array.from(kept, Number).map((value, i) => {
          const [frame, mel] = [Math.floor(i / mels), i % mels];
          return frame < frames && (hidden.frames.includes(frame) || hidden.mels.includes(mel)) ? 0 : value;
        });
        expect([...after.data]).toEqual(explained);
        expect(hidden.frames.filter((frame) => frame >= frames)).toEqual([]);
      }),
    );
  });

  it('hides the same whichever axis is time', () => {
    fc.assert(
      fc.property(cases, ({ frames, padding, mels, seed, options }) => {
        const upright = features(frames + padding, mels);
        const transposed = (from: Tensor): Tensor => {
          const [rows, columns] = from.dims as [number, number];
          const data = Float32Array.from({ length: rows * columns }, (_, i) =>
            Number(from.data[(i % rows) * columns + Math.floor(i / rows)]),
          );
          return float32(data, [columns, rows]);
        };
        const other = specAugment(transposed(upright), { timeAxis: 1, frames }, options, seed);
        expect(transposed(other)).toEqual(specAugment(upright, { timeAxis: 0, frames }, options, seed));
      }),
    );
  });

  it('hides stretches of the length asked for, at least as many as asked for', () => {
    const options = { maskTimeProb: 0.01, maskTimeLength: 7, maskTimeMinMasks: 1 };
    const starts = new Set<number>();
    for (let seed = 0; seed < 400; seed++) {
      const { frames } = hiddenIn(specAugment(features(20, 2), { timeAxis: 0, frames: 20 }, options, seed), 20);
      expect(frames).toEqual(Array.from({ length: 7 }, (_, i) => frames[0]! + i));
      starts.add(frames[0]!);
    }
    // Anywhere that it fits.
    expect([...starts].sort((a, b) => a - b)).toEqual(Array.from({ length: 14 }, (_, i) => i));
  });

  it('hides the share asked for on average, on either axis', () => {
    const share = (options: SpecAugmentOptions, of: 'frames' | 'mels'): number => {
      let hidden = 0;
      for (let seed = 0; seed < 500; seed++) {
        const all = specAugment(features(40, 40), { timeAxis: 0, frames: 40 }, options, seed);
        hidden += hiddenIn(all, 40)[of].length / 40 / 500;
      }
      return hidden;
    };
    // Masks of one never overlap, for where they begin is drawn without repeating.
    const time = { maskTimeProb: 0.23, maskTimeLength: 1, maskTimeMinMasks: 0 };
    expect(share(time, 'frames')).toBeCloseTo(0.23, 2);
    const mel = { maskTimeProb: 0, maskFeatureProb: 0.31, maskFeatureLength: 1 };
    expect(share(mel, 'mels')).toBeCloseTo(0.31, 2);
  });

  it('hides nothing of what is shorter than a mask, or where nothing is asked for', () => {
    const short = features(9, 3);
    expect(specAugment(short, { timeAxis: 0, frames: 9 }, {}, 1)).toEqual(short);
    expect(specAugment(short, { timeAxis: 0, frames: 0 }, { maskTimeLength: 1 }, 1)).toEqual(short);
    expect(specAugment(short, { timeAxis: 0, frames: 9 }, { maskTimeProb: 0, maskTimeLength: 1 }, 1)).toEqual(short);
  });

  it.each([
    { maskTimeProb: -0.1 },
    { maskTimeProb: 1.5 },
    { maskTimeProb: NaN },
    { maskTimeLength: 0 },
    { maskTimeMinMasks: 0.5 },
    { maskFeatureProb: 2 },
    { maskFeatureLength: -1 },
    { maskFeatureMinMasks: NaN },
  ])('refuses %j', (options) => {
    expect(() => specAugment(features(20, 4), { timeAxis: 0, frames: 20 }, options, 1)).toThrow(
      expect.objectContaining({ code: 'INPUT_INVALID', message: expect.stringContaining('SpecAugment cannot hide') }),
    );
  });
});
