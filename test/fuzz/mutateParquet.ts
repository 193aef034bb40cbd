/** @file Damage to Parquet files: in the pages, in the footer, or in both. */

import type { Random } from '@onnx-lora/sdk/data';
import { mutateBytes } from './mutateBytes.ts';

/** Length and magic behind the metadata. */
const TAIL = 8;

/** Damages `bytes` once or twice; metadata keep their length and their place, so that damage in them is read. */
export function mutateParquet(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const length = bytes.length < TAIL ? 0 : Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32LE(bytes.length - TAIL); // prettier-ignore
  const at = bytes.length - TAIL - length;
  if (at < 0 || random.next() < 0.2) return mutateBytes(random, bytes, others);
  const [pages, metadata] = [bytes.slice(0, at), bytes.slice(at, -TAIL)];
  const where = random.index(3);
  const damagedPages = where === 1 ? pages : mutateBytes(random, pages, others);
  const damaged = where === 0 ? metadata : mutateBytes(random, metadata, [metadata]);
  const tail = Buffer.from(bytes.slice(-TAIL));
  tail.writeUInt32LE(damaged.length, 0);
  return Buffer.concat([damagedPages, damaged, tail]);
}
