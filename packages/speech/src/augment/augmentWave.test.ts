/** @file Tests of wave augmentations, by algebra. */

import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { settingsOf } from '@onnx-lora/sdk/plugin';
import { describe, expect, it } from 'vitest';
import { AudioFileReader } from '../audio/audioFileReader.ts';
import { toWave } from '../audio/formats/wav.ts';
import {
  augmentWave,
  strongWaveAugmentations,
  type WaveAugmentation,
  waveAugmentationPresets,
  waveAugmentSetting,
} from './augmentWave.ts';
import { background, loadClips, noise } from './noise.ts';
import { convolve, reverb, gain, speedPerturbation } from './perturb.ts';
import type { AudioTrainingOptions } from '../tasks/audioTask.ts';
import '../../../../test/support/seed.ts';

const RATE = 16_000;
const tone = (length: number, hertz = 440): Float32Array =>
  Float32Array.from({ length }, (_, i) => 0.3 * Math.sin((2 * Math.PI * hertz * i) / RATE));
const pattern = (length: number, step = 17): Float32Array =>
  Float32Array.from({ length }, (_, i) => ((i * i * 31 + i * step) % 2003) / 1001.5 - 1);
const power = (samples: Float32Array): number => samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
const minus = (a: Float32Array, b: Float32Array): Float32Array => a.map((each, i) => each - b[i]!);
/** The share of a tone in a sound: the size of one bin of its Fourier transform. */
const strength = (samples: Float32Array, hertz: number): number => {
  let [re, im] = [0, 0];
  samples.forEach((sample, i) => {
    re += sample * Math.cos((2 * Math.PI * hertz * i) / RATE);
    im += sample * Math.sin((2 * Math.PI * hertz * i) / RATE);
  });
  return Math.hypot(re, im) / samples.length;
};
const clips = [pattern(300), pattern(9000, 5)];
const every: readonly WaveAugmentation[] = [
  speedPerturbation(),
  gain(),
  noise({ color: 'white', probability: 1 }),
  noise({ probability: 1 }),
  background({ clips, probability: 1 }),
  reverb({ responses: [pattern(50)], probability: 1 }),
];

describe('augmentWave', () => {
  it('gives the same bits for the same seed, others for another, and leaves the clip alone', () => {
    const clip = tone(4000);
    const before = clip.slice();
    for (const list of [...every.map((each) => [each]), every, strongWaveAugmentations()]) {
      const [first, again, other] = [1, 1, 2].map((seed) => augmentWave(clip, RATE, list, seed)) as [
        Float32Array,
        Float32Array,
        Float32Array,
      ];
      expect(again).toEqual(first);
      // A single one may draw the same twice.
      if (list.length > 1) expect(other).not.toEqual(first);
      expect(first.every(Number.isFinite)).toBe(true);
    }
    expect(clip).toEqual(before);
  });

  it('keeps silence and nothing, which have no loudness', () => {
    for (const each of every) {
      expect(augmentWave(new Float32Array(0), RATE, [each], 3)).toHaveLength(0);
      expect(power(augmentWave(new Float32Array(500), RATE, [each], 3))).toBe(0);
    }
  });

  it('does nothing at a probability of 0, and as often as said', () => {
    const clip = tone(100);
    expect(augmentWave(clip, RATE, [gain({ probability: 0 })], 5)).toBe(clip);
    const changed = Array.from({ length: 400 }, (_, seed) =>
      augmentWave(clip, RATE, [gain({ probability: 0.25 })], seed),
    );
    const share = changed.filter((each) => each !== clip).length / 400;
    expect(share).toBeGreaterThan(0.18);
    expect(share).toBeLessThan(0.32);
  });

  it('refuses what is no augmentation', () => {
    expect(() => augmentWave(tone(9), RATE, [{ type: 'echo' } as never], 1)).toThrow('one of background, gain, noise');
    expect(() => speedPerturbation({ factors: [3] })).toThrow('from 0.5 to 2');
    expect(() => speedPerturbation({ factors: [] })).toThrow('from 0.5 to 2');
    expect(() => gain({ decibels: [6, -6] })).toThrow('the lower one first');
    expect(() => noise({ color: 'blue' as never })).toThrow('white or pink');
    expect(() => noise({ probability: 2 })).toThrow('between 0 and 1');
    expect(() => background({ clips: [] })).toThrow('one or more recordings');
    expect(() => reverb({ responses: [new Float32Array(4)] })).toThrow('not silent');
  });
});

describe('speed-perturbation', () => {
  it('divides the length and multiplies the pitch by the factor', () => {
    for (const factor of [0.9, 1, 1.1, 1.25]) {
      const got = augmentWave(tone(RATE), RATE, [speedPerturbation({ factors: [factor] })], 1);
      expect(got).toHaveLength(Math.ceil(RATE / factor));
      // Away from the ends, where there is silence around the clip.
      expect(strength(got.subarray(800, 800 + 8000), 440 * factor)).toBeCloseTo(0.15, 2);
    }
    expect(augmentWave(tone(50), RATE, [speedPerturbation({ factors: [1] })], 1)).toEqual(tone(50));
  });

  it('draws every factor', () => {
    const lengths = Array.from(
      { length: 40 },
      (_, seed) => augmentWave(tone(990), RATE, [speedPerturbation()], seed).length,
    );
    expect(new Set(lengths)).toEqual(new Set([1100, 990, 900]));
  });
});

describe('gain', () => {
  it('is what was asked, to the bit', () => {
    const got = augmentWave(pattern(100), RATE, [gain({ decibels: [20, 20] })], 1);
    expect([...got]).toEqual([...pattern(100)].map((each) => Math.fround(each * 10)));
  });
});

describe('noise and background', () => {
  it('add at the ratio that was asked', () => {
    fc.assert(
      fc.property(fc.integer({ min: -5, max: 40 }), fc.nat(1000), (decibels, seed) => {
        const snr = [decibels, decibels] as const;
        for (const each of [
          noise({ color: 'white', snr, probability: 1 }),
          noise({ snr, probability: 1 }),
          background({ clips, snr, probability: 1 }),
        ]) {
          const clip = tone(3000);
          const added = minus(augmentWave(clip, RATE, [each], seed), clip);
          expect(10 * Math.log10(power(clip) / power(added))).toBeCloseTo(decibels, 2);
        }
      }),
      { numRuns: 20 },
    );
  });

  it('is equally strong at all frequencies if white, and by octaves if pink', () => {
    const bands = (color: 'white' | 'pink'): number[] => {
      const length = 2 ** 15;
      const snr = [0, 0] as const;
      const added = minus(augmentWave(tone(length), RATE, [noise({ color, snr, probability: 1 })], 4), tone(length));
      // The power of 64 frequencies from each place on, a bin apart.
      return [500, 1000, 2000, 4000].map((from) =>
        Array.from({ length: 64 }, (_, k) => strength(added, from + (k * RATE) / length) ** 2).reduce((a, b) => a + b),
      );
    };
    const decibelsPerOctave = (powers: number[]): number => (10 / 3) * Math.log10(powers[3]! / powers[0]!);
    expect(Math.abs(decibelsPerOctave(bands('white')))).toBeLessThan(0.7);
    expect(Math.abs(decibelsPerOctave(bands('pink')) + 3)).toBeLessThan(0.7);
  });

  it('takes a piece of a recording, and repeats a short one', () => {
    const short = background({ clips: [new Float32Array([1, -2, 3])], snr: [0, 0], probability: 1 });
    const added = minus(augmentWave(tone(30), RATE, [short], 8), tone(30));
    expect([...added.subarray(3)]).toEqual([...added.subarray(0, 27)].map((each) => expect.closeTo(each, 6)));
    const recording = pattern(9000);
    const long = background({ clips: [recording], snr: [0, 0], probability: 1 });
    const piece = minus(augmentWave(tone(100), RATE, [long], 9), tone(100));
    const scale = Math.sqrt(power(piece));
    const starts = Array.from({ length: 8901 }, (_, at) => recording.subarray(at, at + 100));
    expect(
      starts.some((part) => {
        const k = scale / Math.sqrt(power(part));
        return part.every((sample, i) => Math.abs(k * sample - piece[i]!) < 1e-5);
      }),
    ).toBe(true);
  });
});

describe('room and convolve', () => {
  it('is the clip itself for a unit impulse, wherever it stands and however strong', () => {
    const impulse = new Float32Array(2000);
    impulse[700] = -0.2;
    const clip = pattern(5000);
    const got = augmentWave(clip, RATE, [reverb({ responses: [impulse], probability: 1 })], 1);
    expect(Math.max(...got.map((sample, i) => Math.abs(sample + clip[i]!)))).toBeLessThan(1e-6);
  });

  it('is the sum of products', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1500 }), fc.integer({ min: 1, max: 400 }), (length, taps) => {
        const [samples, response] = [pattern(length), pattern(taps, 3)];
        const got = convolve(samples, response);
        expect(got).toHaveLength(length);
        for (const n of [0, Math.floor(length / 3), length - 1]) {
          let sum = 0;
          for (let k = 0; k < Math.min(taps, n + 1); k++) sum += response[k]! * samples[n - k]!;
          expect(Math.abs(got[n]! - sum)).toBeLessThan(1e-4);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('presets and files', () => {
  it('finds presets by name', () => {
    const table = settingsOf<AudioTrainingOptions>({ augment: waveAugmentSetting });
    expect(table.read({ augment: 'standard' })).toEqual({ augment: [speedPerturbation(), gain()] });
    expect(() => table.read({ augment: 'storng' })).toThrow('Did you mean "strong"?');
    expect([...waveAugmentationPresets.keys()]).toEqual(['none', 'standard', 'strong']);
  });

  it('loads the recordings of a folder and those below it, in order', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'onnx-lora-clips-'));
    try {
      await expect(loadClips(new AudioFileReader(), folder, RATE)).rejects.toThrow('holds no recordings');
      await mkdir(join(folder, 'a'));
      await writeFile(join(folder, 'a', 'x.WAV'), toWave(Float32Array.of(0.5, -0.25), RATE));
      await writeFile(join(folder, 'b.wav'), toWave(Float32Array.of(2, -2, 0), RATE));
      await writeFile(join(folder, 'notes.txt'), 'no sound');
      expect(await loadClips(new AudioFileReader(), folder, RATE)).toEqual([
        Float32Array.of(32_767 / 32_768, -1, 0),
        Float32Array.of(0.5, -0.25),
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
