/** @file Damage to FlatBuffers: offsets, vtables and lengths that lead elsewhere. */

import type { Random } from '@onnx-lora/sdk/data';
import { mutateBytes, pick } from './mutateBytes.ts';

/** Damages a FlatBuffers file once. `others` lend bytes. */
export function mutateFlatBuffer(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  if (bytes.length < 16 || random.next() < 0.2) return mutateBytes(random, bytes, others);
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  // Most of a file is weights; offsets stand at its beginning and before each name.
  const reach = random.next() < 0.5 ? Math.min(512, bytes.length) : bytes.length;
  const at = 4 * random.index(Math.floor(reach / 4));
  const old = view.getUint32(at, true);
  const other = 4 * random.index(Math.floor(bytes.length / 4));
  const numbers = [
    0, 1, 4, 8, 0x7f, 0x80, 0xffff, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, bytes.length, bytes.length - at, old + 4, old - 4,
    old + 8, old * 2, old + 1, view.getUint32(other, true), other - at, 10, 11, 16, 99,
  ]; // prettier-ignore
  switch (random.index(5)) {
    case 0:
      view.setUint16(at + 2 * random.index(2), pick(random, numbers), true);
      break;
    case 1:
      if (at + 8 <= bytes.length) view.setBigInt64(at, pick(random, [-1n, 0n, 1n, 2n ** 31n, 2n ** 53n, 2n ** 62n, -(2n ** 63n)]), true); // prettier-ignore
      break;
    default:
      view.setUint32(at, pick(random, numbers), true);
  }
  return changed;
}
