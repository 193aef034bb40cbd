/**
 * @file Makes a PNG with a palette one of gray, so that a decoder gives its indices: both store one number per pixel in the same
 * way, and only the header and the palette's chunks tell them apart. @see https://www.w3.org/TR/png-3/
 */

import { crc32 } from 'node:zlib';

/** Bytes before the first chunk. */
const SIGNATURE = 8;
/** Bytes of a chunk beside its data: length, name and checksum. */
const FRAME = 12;

/** A PNG as a decoder may see it. */
export interface PlainPng {
  readonly bytes: Uint8Array;
  /** Whether it had a palette, whose indices are now its gray values. */
  readonly isPalette: boolean;
  /** Bits per sample, 1 to 16. */
  readonly bits: number;
  /** Whether it has no colours, but for those of a palette. */
  readonly isGray: boolean;
}

/**
 * The same numbers without palette and transparency; colours are left as they are.
 *
 * @throws RangeError for a file that ends within its header
 */
export function pngWithoutPalette(bytes: Uint8Array): PlainPng {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const bits = view.getUint8(SIGNATURE + 16);
  const colourType = view.getUint8(SIGNATURE + 17);
  const isPalette = colourType === 3;
  if (colourType !== 0 && !isPalette) return { bytes, isPalette, bits, isGray: colourType === 4 };
  const parts: Uint8Array[] = [bytes.subarray(0, SIGNATURE)];
  for (let at = SIGNATURE; at + FRAME <= bytes.length;) {
    const end = at + FRAME + view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    // A transparent gray would become a second channel.
    if (name === 'IHDR') parts.push(grayHeader(bytes.slice(at, end)));
    else if (!['PLTE', 'tRNS', 'bKGD', 'hIST', 'sBIT', 'gAMA'].includes(name)) parts.push(bytes.subarray(at, end));
    at = end;
  }
  return { bytes: Buffer.concat(parts), isPalette, bits, isGray: true };
}

function grayHeader(chunk: Uint8Array): Uint8Array {
  chunk[17] = 0;
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  view.setUint32(chunk.length - 4, crc32(chunk.subarray(4, chunk.length - 4)));
  return chunk;
}
