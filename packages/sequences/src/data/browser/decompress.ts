/** @file Decompresses pages of Parquet in a browser. */

import { decompressBrotli, gunzip } from 'hyparquet-compressors';

export function gunzipSync(bytes: Uint8Array, most: number): Uint8Array {
  const out = new Uint8Array(most);
  gunzip(bytes, out);
  return out;
}

export function brotliDecompressSync(bytes: Uint8Array, most: number): Uint8Array {
  return decompressBrotli(bytes, most);
}
