/** @file Checksums on a page. */

import { sha256 as start } from '@noble/hashes/sha2.js';
import { toHex, utf8 } from './bytes.ts';
import type { Hash } from '../hash.ts';

/** A SHA-256 digest. */
export function sha256(): Hash {
  const state = start.create();
  return {
    update(data) {
      state.update(
        typeof data === 'string' ? utf8(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      );
      return this;
    },
    digest: () => toHex(state.digest()),
  };
}

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let sum = n;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? 0xedb88320 ^ (sum >>> 1) : sum >>> 1;
  return sum;
});

/** CRC-32 of bytes that continue those of a sum. */
export function crc32(data: Uint8Array, sum = 0): number {
  let rest = ~sum;
  for (const byte of data) rest = table[(rest ^ byte) & 255]! ^ (rest >>> 8);
  return ~rest >>> 0;
}
