/** @file The inputs of a run, each made again from the run's seed and its number. */

import type { Random } from '@onnx-lora/sdk/data';
import { pick } from './mutateBytes.ts';
import type { FuzzTarget } from './targets.ts';

/** Input number `index` of a run: a seed file, damaged once to four times. */
export function inputOf(
  { seeds, mutate }: Pick<FuzzTarget, 'seeds' | 'mutate'>,
  Generator: typeof Random,
  seed: number,
  index: number,
): Uint8Array {
  const random = new Generator(Math.imul(seed, 0x9e3779b1) + index);
  let bytes = pick(random, seeds);
  for (let times = 1 + random.index(4); times > 0; times--) bytes = mutate(random, bytes, seeds);
  return bytes;
}
