/** @file Adds noise: made here, or recorded. */

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

/**
 * `samples + k · noise`, with k such that the power of the samples is `decibels` above that of what is added. Silence, and noise
 * that is silent, change nothing.
 *
 * @param noise as long as `samples`
 */
function mixNoise(samples: Float32Array, noise: Float32Array, decibels: number): Float32Array {
  const [signalPower, noisePower] = [power(samples), power(noise)];
  if (signalPower === 0 || noisePower === 0) return samples;
  const k = Math.sqrt(signalPower / noisePower / 10 ** (decibels / 10));
  return samples.map((sample, i) => sample + k * noise[i]!);
}

/** Σ x². */
function power(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return sum;
}

/** Noise of equal power at every frequency (white) or in every octave (pink), as rooms and lines have it. */
export type NoiseColor = 'white' | 'pink';

/** Added noise. */
export interface Noise {
  readonly type: 'noise';
  /** How the noise's power is spread over frequencies; `pink` by default. */
  readonly color: NoiseColor;
  /** Lowest and highest ratio of the clip's power to the noise's in dB, evenly drawn; 10 to 30 by default. */
  readonly snr: Range;
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability: number;
}

/** Options of {@link noise}. */
export type NoiseOptions = AugmentationOptions<Noise>;

/**
 * Adds Gaussian noise at a ratio that is drawn. Silent clips stay silent.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
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

/** Adds noise at a ratio drawn from the range. */
export function applyNoise(samples: Float32Array, { color, snr }: Noise, random: Random): Float32Array {
  const decibels = random.uniform(...snr);
  const white = new Float32Array(samples.length).map(() => random.normal());
  return mixNoise(samples, color === 'pink' ? pinked(white) : white, decibels);
}

/** Poles and weights of the filter below; the last three numbers in its body belong to it too. */
const POLES = [0.99886, 0.99332, 0.969, 0.8665, 0.55, -0.7616] as const;
const WEIGHTS = [0.0555179, 0.0750759, 0.153852, 0.3104856, 0.5329522, -0.016898] as const;

/**
 * White noise made pink by Paul Kellet's filter, which falls by 3 dB an octave within 0.05 dB from 10 Hz on at 44.1 kHz.
 *
 * @see https://www.firstpr.com.au/dsp/pink-noise/
 */
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
  /** Noise `[samples]`, each clip at the rate of what it is added to: see `loadClips`. */
  readonly clips: readonly Float32Array[];
  /** Lowest and highest ratio of the clip's power to the noise's in dB, evenly drawn; 5 to 20 by default. */
  readonly snr: Range;
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability: number;
}

/** Options of {@link background}. */
export type BackgroundOptions = Pick<Background, 'clips'> & AugmentationOptions<Background>;

/**
 * Adds a piece, drawn from one of the recordings and repeated where it is too short, at a ratio that is drawn.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for settings that make no sense
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

/** Adds a piece of a recording at a ratio drawn from the range. */
export function applyBackground(samples: Float32Array, { clips, snr }: Background, random: Random): Float32Array {
  const decibels = random.uniform(...snr);
  const clip = clips[random.index(clips.length)]!;
  // A short clip begins anywhere, for it goes round; a long one so that the piece fits.
  const from = random.index(clip.length > samples.length ? clip.length - samples.length + 1 : clip.length);
  const piece = new Float32Array(samples.length).map((_, i) => clip[(from + i) % clip.length]!);
  return mixNoise(samples, piece, decibels);
}

/**
 * The recordings in a folder and the folders below it, mono at `sampleRate`, in the order of their paths: noise for `background`,
 * impulse responses for `reverb`. All are held in memory.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID` when there is none, or one cannot be read
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
