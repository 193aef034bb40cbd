/** @file Seeds for what is random about a sequence and yet the same each time. */

import { drawSeed } from '@onnx-lora/sdk/data';

/**
 * A seed of a sequence, or of the window of it that begins with token `from`: wherever it is in the data, it gets the same.
 * The letters are hashed by FNV-1a.
 *
 * @see Fowler, Noll, Vo; RFC 9923
 */
export function fixedSeed(seed: number, sequence: string, from = 0): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < sequence.length; i++) hash = Math.imul(hash ^ sequence.charCodeAt(i), 0x01000193);
  return drawSeed(seed ^ hash, from);
}
