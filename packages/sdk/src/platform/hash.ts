/** @file Checksums. On a page, `browser/hash.ts` takes this file's place. */

import { createHash } from 'node:crypto';

export { crc32 } from 'node:zlib';

/** A digest in the making. */
export interface Hash {
  /** Appends text as UTF-8, or the bytes of an array. */
  update(data: string | ArrayBufferView): this;
  /** The digest as hexadecimal digits; ends the computation. */
  digest(encoding: 'hex'): string;
}

/** A SHA-256 digest. */
export function sha256(): Hash {
  return createHash('sha256');
}
