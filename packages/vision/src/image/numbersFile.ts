/** @file Decodes masks, with one number per pixel. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import { concatBytes, crc32 } from '@onnx-lora/sdk/platform';
import { decodeSamples, sampleFacts } from './codec.ts';
import { type ImageFormat, imageFormat, signatureLength, kindOfOtherFile, readImageFile } from './imageFile.ts';

const SIGNATURE = 8;

/** Bytes of a chunk besides its data: length, name and checksum. */
const FRAME = 12;

interface PlainPng {
  readonly bytes: Uint8Array;
  /** True if palette indices became gray values. */
  readonly isPalette: boolean;
  readonly bits: number;
  /** True without colours, apart from a palette's. */
  readonly isGray: boolean;
}

/** Strips palette and transparency, so that indices decode as gray. @throws RangeError for a truncated header */
function pngWithoutPalette(bytes: Uint8Array): PlainPng {
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
  return { bytes: concatBytes(parts), isPalette, bits, isGray: true };
}

function grayHeader(chunk: Uint8Array): Uint8Array {
  chunk[17] = 0;
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  view.setUint32(chunk.length - 4, crc32(chunk.subarray(4, chunk.length - 4)));
  return chunk;
}

export interface StoredNumbers {
  readonly width: number;
  readonly height: number;
  /** Row by row: gray values, palette indices, or the green channel of a colour image. */
  readonly numbers: Uint8Array | Uint16Array;
  readonly highest: number;
  readonly isPalette: boolean;
  /** True if red, green and blue differ anywhere. */
  readonly isColour: boolean;
  readonly format: ImageFormat;
}

const MOST_PIXELS = 100_000_000;
const MOST_BYTES = 512 * 1024 * 1024;

/** Decodes gray of 1 to 16 bits and palette indices. @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` */
export async function decodeNumbers(file: string): Promise<StoredNumbers> {
  const bytes = await readImageFile(file, MOST_BYTES, 'mask');
  const format = imageFormat(bytes);
  if (!format) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the mask "${file}": ${kindOfOtherFile(bytes.subarray(0, signatureLength))}. Save masks as PNG.`,
    );
  }
  try {
    return await decode(bytes, format);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim().split('\n')[0]! : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot decode the ${format.toUpperCase()} mask "${file}": it is too large, truncated or corrupt (${reason}). Replace the file or take its image out of the data.`,
      { cause },
    );
  }
}

async function decode(bytes: Uint8Array, format: ImageFormat): Promise<StoredNumbers> {
  const plain =
    format === 'png'
      ? pngWithoutPalette(bytes)
      : { bytes, isPalette: false, ...(await sampleFacts(bytes, MOST_PIXELS)) };
  const { width, height, channels, samples } = await decodeSamples(plain.bytes, plain, MOST_PIXELS);
  const { bits } = plain;
  const scale = bits < 8 ? 255 / (2 ** bits - 1) : 1;
  const numbers = bits === 16 ? new Uint16Array(width * height) : new Uint8Array(width * height);
  let isColour = false;
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  for (let i = 0, at = 0; i < numbers.length; i++, at += channels) {
    const number = samples[at + green]!;
    if (samples[at] !== number || samples[at + blue] !== number) isColour = true;
    numbers[i] = number / scale;
  }
  return { width, height, numbers, highest: 2 ** bits - 1, isPalette: plain.isPalette, isColour, format };
}
