/** @file Writes masks as PNG files whose numbers are indices of a palette. @see https://www.w3.org/TR/png-3/ */

import { crc32, deflateSync } from 'node:zlib';
import type { Color } from '../augment/affine.ts';
import type { Mask } from '../augment/sample.ts';

const SIGNATURE = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** The bytes of a PNG with 8 bits per pixel: `mask` as it is, shown in the colours that `color` gives its numbers. */
export function indexedPng({ width, height, data }: Mask, color: (number: number) => Color): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  // 8 bits of a palette.
  header.set([8, 3, 0, 0, 0], 8);
  const palette = Uint8Array.from(Array.from({ length: 256 }, (_, number) => color(number)).flat());
  // A row begins with the number of its filter: 0, none, which suits areas of one number.
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('PLTE', palette),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

function chunk(name: string, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc32(bytes.subarray(4, content.length + 8)));
  return bytes;
}
