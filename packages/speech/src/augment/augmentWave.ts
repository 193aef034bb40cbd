/** @file Applies augmentations to sound. */

import { badSetting } from '@onnx-lora/sdk/data';
import { Random } from '@onnx-lora/sdk/core';
import { applyBackground, type Background } from './background.ts';
import { applyGain, type Gain } from './gain.ts';
import { applyNoise, type Noise } from './noise.ts';
import { applyRoom, type Room } from './room.ts';
import { applySpeed, type Speed } from './speed.ts';

/** What is done to sound at random, as data: it can be sent to a thread. */
export type WaveAugmentation = Background | Gain | Noise | Room | Speed;

type Apply<Type extends WaveAugmentation['type']> = (
  samples: Float32Array,
  augmentation: Extract<WaveAugmentation, { type: Type }>,
  random: Random,
  sampleRate: number,
) => Float32Array;

const appliers: { readonly [type in WaveAugmentation['type']]: Apply<type> } = {
  background: applyBackground,
  gain: applyGain,
  noise: applyNoise,
  room: applyRoom,
  speed: applySpeed,
};

/**
 * Applies augmentations to a clip `[samples]` one after the other. The same seed gives the same samples, bit for bit; `samples`
 * itself stays as it is. Nothing is clipped: samples may lie beyond [-1, 1].
 *
 * @param seed a whole number; `drawSeed` makes one for each draw of a run
 * @throws OnnxLoraError `CONFIG_INVALID` for data that is no augmentation
 */
export function augmentWave(
  samples: Float32Array,
  sampleRate: number,
  augmentations: readonly WaveAugmentation[],
  seed: number,
): Float32Array {
  const random = new Random(seed);
  let current = samples;
  for (const augmentation of augmentations) {
    if (!Object.hasOwn(appliers, augmentation.type)) {
      throw badSetting('type', `one of ${Object.keys(appliers).join(', ')}`, augmentation.type);
    }
    // Each type's own function, which the compiler cannot follow through the table.
    const apply = appliers[augmentation.type] as Apply<WaveAugmentation['type']>;
    current = apply(current, augmentation as never, random, sampleRate);
  }
  return current;
}
