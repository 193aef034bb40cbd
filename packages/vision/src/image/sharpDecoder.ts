/** @file Decodes images with sharp (libvips). */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { type Image, type ImageDecoder, sourceName } from './image.ts';
import { type ImageFormat, imageFormat, signatureLength, whatElse } from './imageFormat.ts';
import { checkBytes, readImageFile } from './readImageFile.ts';

/** Bounds on what a file may ask for; a stranger's file of a few bytes can claim any size. */
export interface SharpDecoderOptions {
  /** Most pixels an image may have; 100 million by default, which takes 300 MB. */
  readonly maxPixels?: number;
  /** Most bytes a file may have; 512 MB by default. */
  readonly maxBytes?: number;
}

/**
 * Decodes JPEG, PNG, WebP, TIFF, GIF and AVIF into what Pillow's `ImageOps.exif_transpose` and `convert("RGB")` give:
 * upright, the first frame, alpha dropped without compositing, colour profiles ignored. One difference is meant: of
 * 16-bit gray the high byte is taken, where Pillow clips to white.
 */
export class SharpDecoder implements ImageDecoder {
  readonly #maxPixels: number;
  readonly #maxBytes: number;

  /** The bounds, for another decoder like this one. */
  get limits(): Required<SharpDecoderOptions> {
    return { maxPixels: this.#maxPixels, maxBytes: this.#maxBytes };
  }

  /** Bounds what is decoded; see {@link SharpDecoderOptions}. */
  constructor({ maxPixels = 100_000_000, maxBytes = 512 * 1024 * 1024 }: SharpDecoderOptions = {}) {
    this.#maxPixels = maxPixels;
    this.#maxBytes = maxBytes;
  }

  async decode(source: string | Uint8Array): Promise<Image> {
    const file = sourceName(source);
    const stored = typeof source === 'string' ? await readImageFile(source, this.#maxBytes) : this.#checked(source);
    const format = imageFormat(stored);
    const bytes = format === 'gif' ? gifWithoutTransparency(stored) : stored;
    if (!format) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `Cannot read the image "${file}": ${whatElse(bytes.subarray(0, signatureLength))}. Convert it to PNG or JPEG (WebP, TIFF, GIF and AVIF work too), or take it out of the data.`,
      );
    }
    // Loaded here, since much else is done with the package that decodes no image.
    const { default: sharp } = await import('sharp');
    try {
      const options = {
        limitInputPixels: this.#maxPixels,
        // Truncated and corrupt files fail; oddities that leave the pixels whole do not.
        failOn: 'error',
        ignoreIcc: true,
        sequentialRead: true,
      } satisfies SharpOptions;
      const header =
        plainHeader(bytes, format) ?? (await sharp(bytes, { ...options, limitInputPixels: false }).metadata());
      this.#check(header, file);
      return await decodeRgb(sharp(bytes, options).autoOrient(), header);
    } catch (cause) {
      if (cause instanceof OnnxLoraError) throw cause;
      const reason = cause instanceof Error ? cause.message.trim().split('\n')[0]! : String(cause);
      throw new OnnxLoraError(
        'DATA_INVALID',
        `Cannot decode the ${format.toUpperCase()} image "${file}": it is truncated or corrupt (${reason}). Replace the file or take it out of the data.`,
        { cause },
      );
    }
  }

  #checked(bytes: Uint8Array): Uint8Array {
    checkBytes(bytes.length, this.#maxBytes, sourceName(bytes));
    return bytes;
  }

  #check(metadata: Header, file: string): void {
    const pixels = metadata.width * metadata.height;
    if (pixels > this.#maxPixels) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The image "${file}" has ${metadata.width} x ${metadata.height} pixels, ${pixels} in all, more than the limit of ${this.#maxPixels}. Make it smaller, or raise maxPixels of SharpDecoder.`,
      );
    }
    if (metadata.depth !== 'uchar' && metadata.depth !== 'ushort') {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `The image "${file}" has samples of type ${metadata.depth}, whose range the file does not say. Save it with 8 or 16 bits per channel.`,
      );
    }
  }
}

/** What must be known of an image before it is decoded. */
type Header = Pick<Metadata, 'width' | 'height' | 'depth' | 'space'>;

/** Of an ordinary JPEG, what its header says: asking sharp would take a tenth of the time of decoding. */
function plainHeader(bytes: Uint8Array, format: ImageFormat): Header | undefined {
  const header = format === 'jpeg' ? jpegHeader(bytes) : undefined;
  if (!header || header.precision !== 8 || (header.components !== 1 && header.components !== 3)) return undefined;
  return { width: header.width, height: header.height, depth: 'uchar', space: 'srgb' };
}

async function decodeRgb(image: Sharp, metadata: Header): Promise<Image> {
  if (metadata.space === 'cmyk') {
    // Left as it is, for libvips would convert it through a printing profile.
    const raw = await image
      .pipelineColourspace('cmyk')
      .toColourspace('cmyk')
      .raw()
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = raw.info;
    return { width, height, data: cmykToRgb({ width, height, channels, samples: bytesOf(raw.data) }) };
  }
  if (metadata.depth === 'ushort') {
    const space = metadata.space === 'grey16' ? 'grey16' : 'rgb16';
    const raw = await image
      .pipelineColourspace(space)
      .toColourspace(space)
      .raw({ depth: 'ushort' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = raw.info;
    // Copied, because a Buffer need not start at an even address.
    const samples = new Uint16Array(new Uint8Array(raw.data).buffer);
    return { width, height, data: rgbPixels({ width, height, channels, samples }) };
  }
  const raw = await image.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = raw.info;
  return { width, height, data: rgbPixels({ width, height, channels, samples: bytesOf(raw.data) }) };
}

/** The same memory as a plain array, so that no Buffer method leaks into what users compare and copy. */
function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/**
 * The same GIF, in whose first picture nothing is transparent; `bytes` itself where that is so already.
 *
 * @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
function gifWithoutTransparency(bytes: Uint8Array): Uint8Array {
  const flags = bytes[10] ?? 0;
  // Behind the screen's size comes its palette, if it has one.
  let at = 13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  while (bytes[at] === 0x21) {
    const isControl = bytes[at + 1] === 0xf9;
    if (isControl && (bytes[at + 3]! & 1) === 1) {
      const copy = bytes.slice();
      copy[at + 3]! &= ~1;
      return copy;
    }
    // Extensions are blocks of a length and as many bytes, up to an empty one.
    at += 2;
    while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
    at += 1;
  }
  return bytes;
}

/** What the frame header of a JPEG says. */
interface JpegHeader {
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
function jpegHeader(bytes: Uint8Array): JpegHeader | undefined {
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

/** Samples as a decoder gives them: `[height, width, channels]`, 8 or 16 bits each. */
interface RawPixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly samples: Uint8Array | Uint16Array;
}

/**
 * Drops alpha without compositing (the colour under transparent pixels stays), repeats gray, and takes the high byte
 * of 16 bits. Returns `[height, width, 3]`; 8-bit RGB is returned as it is, without a copy.
 */
function rgbPixels({ width, height, channels, samples }: RawPixels): Uint8Array {
  if (channels === 3 && samples instanceof Uint8Array) return samples;
  const shift = samples instanceof Uint16Array ? 8 : 0;
  // One channel is gray, two are gray and alpha, four are RGB and alpha.
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < rgb.length; at += 3, from += channels) {
    rgb[at] = samples[from]! >> shift;
    rgb[at + 1] = samples[from + green]! >> shift;
    rgb[at + 2] = samples[from + blue]! >> shift;
  }
  return rgb;
}

/**
 * Plain CMYK to RGB as Pillow does it, with no colour profile: each ink takes its share of what black leaves,
 * `r = (255 - k) - c (255 - k) / 255`. Only the first four channels count.
 */
function cmykToRgb({ width, height, channels, samples }: RawPixels): Uint8Array {
  const shift = samples instanceof Uint16Array ? 8 : 0;
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < rgb.length; at += 3, from += channels) {
    const light = 255 - (samples[from + 3]! >> shift);
    for (let i = 0; i < 3; i++) {
      // x / 255, rounded, for x up to 255 * 255.
      const x = (samples[from + i]! >> shift) * light + 128;
      rgb[at + i] = light - (((x >> 8) + x) >> 8);
    }
  }
  return rgb;
}
