/** @file Compression in zlib's formats. On a page, `browser/compression.ts` takes this file's place. */

import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

export { deflateSync } from 'node:zlib';

/** Decompresses gzip while reading; errors surface where the result is read. */
export function gunzipped(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return pipeline(Readable.from(bytes, { objectMode: false }), createGunzip(), () => undefined);
}
