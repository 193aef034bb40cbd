/** @file Lets sound ring as in a room. */

import { badSetting, checkShare } from '@onnx-lora/sdk/data';
import type { Random } from '@onnx-lora/sdk/core';
import { convolve } from './convolve.ts';

/** The echoes of a room. */
export interface Room {
  readonly type: 'room';
  /** Impulse responses `[samples]` from the direct sound on, of energy 1. */
  readonly responses: readonly Float32Array[];
  /** How often, from 0 to 1. */
  readonly probability: number;
}

/** Options of {@link room}. */
export interface RoomOptions {
  /** Impulse responses `[samples]` at the rate of what they are applied to: see `loadClips`. */
  readonly responses: readonly Float32Array[];
  /** How often, from 0 to 1; half of the draws by default. */
  readonly probability?: number;
}

/**
 * Convolves the clip with one of the impulse responses, which begins at its highest peak, the direct sound, and has the energy 1.
 * The clip keeps its length.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a response that is silent, or none
 * @see https://www.danielpovey.com/files/2017_icassp_reverberation.pdf Ko et al., "A study on data augmentation of reverberant speech"
 */
export function room({ responses, probability = 0.5 }: RoomOptions): Room {
  if (responses.length === 0 || responses.some((response) => response.every((sample) => sample === 0))) {
    throw badSetting('responses', 'one or more impulse responses that are not silent', responses.length);
  }
  return {
    type: 'room',
    responses: responses.map(fromPeak),
    probability: checkShare('probability', probability),
  };
}

/** Adds the echoes or not, as the dice fall. */
export function applyRoom(samples: Float32Array, { responses, probability }: Room, random: Random): Float32Array {
  if (random.next() >= probability) return samples;
  return convolve(samples, responses[random.index(responses.length)]!);
}

function fromPeak(response: Float32Array): Float32Array {
  let peak = 0;
  for (let i = 1; i < response.length; i++) if (Math.abs(response[i]!) > Math.abs(response[peak]!)) peak = i;
  const rest = response.subarray(peak);
  const norm = Math.sqrt(rest.reduce((sum, sample) => sum + sample * sample, 0));
  return rest.map((sample) => sample / norm);
}
