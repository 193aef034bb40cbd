/** @file Reads the size of a JPEG from its header, which is a tenth of the work of asking a decoder for it. */

/** What the frame header of a JPEG says. */
export interface JpegHeader {
  readonly width: number;
  readonly height: number;
  /** Bits per sample. */
  readonly precision: number;
  /** 1 for gray, 3 for colour, 4 for CMYK. */
  readonly components: number;
}

/**
 * The frame header of a JPEG file; undefined where none is found. @see https://www.w3.org/Graphics/JPEG/itu-t81.pdf B.2
 */
export function jpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  const word = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  for (let at = 2; at + 9 < bytes.length;) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    // Any number of FF may stand before a marker.
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // C0 to CF begin a frame, but for tables (C4, CC) and C8, which is reserved. After SOS (DA) there is none.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return { precision: bytes[at + 4]!, height: word(at + 5), width: word(at + 7), components: bytes[at + 9]! };
    }
    if (marker === 0xda || marker === 0xd9) return undefined;
    at += 2 + word(at + 2);
  }
  return undefined;
}
