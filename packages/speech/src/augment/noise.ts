/** @file Noise augmentations: synthetic or recorded. */

import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AugmentationOptions,
  badSetting,
  checkRange,
  checkShare,
  type Range,
  readFolder,
  type Random,
} from '@onnx-lora/sdk/data';
import { type AudioReader, monoAt } from '../audio/audio.ts';

/** `samples + k · noise` (equally long) at a signal-to-noise ratio of `decibels`; the samples if either is silent. */
function mixNoise(samples: Float32Array, noise: Float32Array, decibels: number): Float32Array {
  const [signalPower, noisePower] = [power(samples), power(noise)];
  if (signalPower === 0 || noisePower === 0) return samples;
  const k = Math.sqrt(signalPower / noisePower / 10 ** (decibels / 10));
  return samples.map((sample, i) => sample + k * noise[i]!);
}

function power(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return sum;
}

/** Equal power at every frequency (white) or in every octave (pink), as in rooms and on lines. */
export type NoiseColor = 'white' | 'pink';

/** Added noise. */
export interface Noise {
  readonly type: 'noise';
  /** Spectrum of the noise; `pink` by default. */
  readonly color: NoiseColor;
  /** Range of the signal-to-noise ratio in dB, uniform; 10 to 30 by default. */
  readonly snr: Range;
  /** Probability, 0 to 1; 0.5 by default. */
  readonly probability: number;
}

/** Options of {@link noise}. */
export type NoiseOptions = AugmentationOptions<Noise>;

/**
 * Adds Gaussian noise at a random ratio. Silent clips stay silent.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function noise({ color = 'pink', snr = [10, 30], probability = 0.5 }: NoiseOptions = {}): Noise {
  if (color !== 'pink' && color !== 'white') throw badSetting('color', 'white or pink', color);
  return {
    type: 'noise',
    color,
    snr: checkRange('snr', snr, -20, 100),
    probability: checkShare('probability', probability),
  };
}

/** Applies {@link noise}. */
export function applyNoise(samples: Float32Array, { color, snr }: Noise, random: Random): Float32Array {
  const decibels = random.uniform(...snr);
  const white = new Float32Array(samples.length).map(() => random.normal());
  return mixNoise(samples, color === 'pink' ? pinked(white) : white, decibels);
}

/** Poles and weights of the filter below, whose body has three more. */
const POLES = [0.99886, 0.99332, 0.969, 0.8665, 0.55, -0.7616] as const;
const WEIGHTS = [0.0555179, 0.0750759, 0.153852, 0.3104856, 0.5329522, -0.016898] as const;

/** Pink noise: Kellet's filter, −3 dB an octave within 0.05 dB. @see https://www.firstpr.com.au/dsp/pink-noise/ */
function pinked(white: Float32Array): Float32Array {
  const state = new Float64Array(POLES.length);
  let late = 0;
  return white.map((sample) => {
    let sum = late + sample * 0.5362;
    for (let i = 0; i < POLES.length; i++) {
      state[i] = POLES[i]! * state[i]! + WEIGHTS[i]! * sample;
      sum += state[i]!;
    }
    late = sample * 0.115926;
    return sum;
  });
}

/** Recorded noise behind the clip. */
export interface Background {
  readonly type: 'background';
  /** Noise clips `[samples]`, each at the rate of the sound: see `loadClips`. */
  readonly clips: readonly Float32Array[];
  /** Range of the signal-to-noise ratio in dB, uniform; 5 to 20 by default. */
  readonly snr: Range;
  /** Probability, 0 to 1; 0.5 by default. */
  readonly probability: number;
}

/** Options of {@link background}. */
export type BackgroundOptions = Pick<Background, 'clips'> & AugmentationOptions<Background>;

/**
 * Adds a random piece of a recording, repeated if it is too short, at a random ratio.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid settings
 */
export function background({ clips, snr = [5, 20], probability = 0.5 }: BackgroundOptions): Background {
  if (clips.length === 0 || clips.some(({ length }) => length === 0)) {
    throw badSetting('clips', 'one or more recordings that are not empty', clips.length);
  }
  return {
    type: 'background',
    clips,
    snr: checkRange('snr', snr, -20, 100),
    probability: checkShare('probability', probability),
  };
}

/** Applies {@link background}. */
export function applyBackground(samples: Float32Array, { clips, snr }: Background, random: Random): Float32Array {
  const decibels = random.uniform(...snr);
  const clip = clips[random.index(clips.length)]!;
  // A short clip wraps around, so it begins anywhere; a long one so that the piece fits.
  const from = random.index(clip.length > samples.length ? clip.length - samples.length + 1 : clip.length);
  const piece = new Float32Array(samples.length).map((_, i) => clip[(from + i) % clip.length]!);
  return mixNoise(samples, piece, decibels);
}

/**
 * Loads a folder's recordings, recursively, mono at `sampleRate`, in the order of their paths: noise for `background`,
 * impulse responses for `reverb`. All are held in memory.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` without files, or if one cannot be read
 */
export async function loadClips(reader: AudioReader, folder: string, sampleRate: number): Promise<Float32Array[]> {
  const clips = await clipsIn(reader, folder, sampleRate);
  if (clips.length > 0) return clips;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The folder "${folder}" holds no recordings. Put files of ${reader.fileEndings.join(', ')} there.`,
  );
}

async function clipsIn(reader: AudioReader, folder: string, sampleRate: number): Promise<Float32Array[]> {
  const { files, folders } = await readFolder(folder);
  const clips: Float32Array[] = [];
  for (const file of files.filter((name) => reader.fileEndings.includes(extname(name).toLowerCase()))) {
    clips.push(await monoAt(reader, join(folder, file), sampleRate));
  }
  for (const below of folders)
    for (const each of await clipsIn(reader, join(folder, below), sampleRate)) clips.push(each);
  return clips;
}
