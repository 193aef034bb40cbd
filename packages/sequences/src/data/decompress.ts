/** @file Decompresses pages of Parquet. On a page of the web, `browser/decompress.ts` takes this file's place. */

import { brotliDecompressSync as brotli, gunzipSync as gunzip } from 'node:zlib';

/** @throws RangeError above `most` bytes; Error for damaged ones */
export function gunzipSync(bytes: Uint8Array, most: number): Uint8Array {
  return gunzip(bytes, { maxOutputLength: most });
}

/** @throws RangeError above `most` bytes; Error for damaged ones */
export function brotliDecompressSync(bytes: Uint8Array, most: number): Uint8Array {
  return brotli(bytes, { maxOutputLength: most });
}
