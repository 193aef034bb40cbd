/** @file Damage that knows nothing of a format: bytes changed, removed, repeated, moved in from another file. */

import type { Random } from '@onnx-lora/sdk/data';

/** One of `list`. */
export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.index(list.length)]!;
}

/** `bytes` with `[from, to)` replaced. */
export function replaced(bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array {
  const result = new Uint8Array(from + by.length + bytes.length - to);
  result.set(bytes.subarray(0, from));
  result.set(by, from);
  result.set(bytes.subarray(to), from + by.length);
  return result;
}

const edges = [0, 1, 0x7f, 0x80, 0xfe, 0xff];

/** Damages `bytes` once. `others` lend pieces. */
export function mutateBytes(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const at = random.index(bytes.length + 1);
  const length = 1 + random.index(random.next() < 0.8 ? 8 : 256);
  const end = Math.min(bytes.length, at + length);
  switch (random.index(6)) {
    case 0: {
      const changed = bytes.slice();
      if (at < changed.length) changed[at]! ^= 1 << random.index(8);
      return changed;
    }
    case 1:
      return replaced(bytes, at, Math.min(bytes.length, at + 1), Uint8Array.of(pick(random, edges)));
    case 2:
      return bytes.slice(0, at);
    case 3:
      return replaced(bytes, at, end, new Uint8Array(0));
    case 4:
      return replaced(bytes, at, at, bytes.slice(at, end));
    default: {
      const other = pick(random, others);
      const from = random.index(other.length + 1);
      return replaced(bytes, at, random.next() < 0.5 ? at : end, other.slice(from, from + length));
    }
  }
}
