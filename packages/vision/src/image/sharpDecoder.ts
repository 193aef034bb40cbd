/** @file The image decoder with sharp (libvips). */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { type Image, type ImageDecoder, sourceName } from './image.ts';
import {
  type ImageFormat,
  imageFormat,
  signatureLength,
  kindOfOtherFile,
  checkBytes,
  readImageFile,
} from './imageFile.ts';

/** Limits, since an untrusted file of a few bytes can claim any size. */
export interface SharpDecoderOptions {
  /** Most pixels of an image; 100 million by default, which takes 300 MB. */
  readonly maxPixels?: number;
  /** Most bytes of a file; 512 MB by default. */
  readonly maxBytes?: number;
}

/**
 * Decodes JPEG, PNG, WebP, TIFF, GIF and AVIF like Pillow's `ImageOps.exif_transpose` and `convert("RGB")`: upright,
 * first frame, alpha dropped without compositing, colour profiles ignored. For 16-bit gray it takes the high byte, where
 * Pillow clips to white.
 */
export class SharpDecoder implements ImageDecoder {
  readonly #maxPixels: number;
  readonly #maxBytes: number;

  /** The limits, to make an equal decoder. */
  get limits(): Required<SharpDecoderOptions> {
    return { maxPixels: this.#maxPixels, maxBytes: this.#maxBytes };
  }

  /** See {@link SharpDecoderOptions}. */
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
        `Cannot read the image "${file}": ${kindOfOtherFile(bytes.subarray(0, signatureLength))}. Convert it to PNG or JPEG (WebP, TIFF, GIF and AVIF work too), or take it out of the data.`,
      );
    }
    // Loaded lazily, since much of this package decodes no image.
    const { default: sharp } = await import('sharp');
    try {
      const options = {
        limitInputPixels: this.#maxPixels,
        // Fails on truncated and corrupt files, not on harmless oddities.
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

type Header = Pick<Metadata, 'width' | 'height' | 'depth' | 'space'>;

/** Parses an ordinary JPEG's header: asking sharp takes a tenth of the decoding time. */
function plainHeader(bytes: Uint8Array, format: ImageFormat): Header | undefined {
  const header = format === 'jpeg' ? jpegHeader(bytes) : undefined;
  if (!header || header.precision !== 8 || (header.components !== 1 && header.components !== 3)) return undefined;
  return { width: header.width, height: header.height, depth: 'uchar', space: 'srgb' };
}

async function decodeRgb(image: Sharp, metadata: Header): Promise<Image> {
  if (metadata.space === 'cmyk') {
    // Left as CMYK, since libvips would convert through a printing profile.
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
    // Copied, because a Buffer may start at an odd address.
    const samples = new Uint16Array(new Uint8Array(raw.data).buffer);
    return { width, height, data: rgbPixels({ width, height, channels, samples }) };
  }
  const raw = await image.toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
  const { width, height, channels } = raw.info;
  return { width, height, data: rgbPixels({ width, height, channels, samples: bytesOf(raw.data) }) };
}

/** The memory as a plain Uint8Array, since users compare and copy it. */
function bytesOf(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** The GIF with an opaque first frame. @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt */
function gifWithoutTransparency(bytes: Uint8Array): Uint8Array {
  const flags = bytes[10] ?? 0;
  // The screen descriptor may be followed by a palette.
  let at = 13 + (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  while (bytes[at] === 0x21) {
    const isControl = bytes[at + 1] === 0xf9;
    if (isControl && (bytes[at + 3]! & 1) === 1) {
      const copy = bytes.slice();
      copy[at + 3]! &= ~1;
      return copy;
    }
    // Extensions are length-prefixed blocks, up to an empty one.
    at += 2;
    while (at < bytes.length && bytes[at] !== 0) at += 1 + bytes[at]!;
    at += 1;
  }
  return bytes;
}

interface JpegHeader {
  readonly width: number;
  readonly height: number;
  readonly precision: number;
  /** 1 for gray, 3 for colour, 4 for CMYK. */
  readonly components: number;
}

/** Parses a JPEG's frame header, if found. @see https://www.w3.org/Graphics/JPEG/itu-t81.pdf B.2 */
function jpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  const word = (at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
  for (let at = 2; at + 9 < bytes.length;) {
    if (bytes[at] !== 0xff) return undefined;
    const marker = bytes[at + 1]!;
    // A marker may follow any number of FF bytes.
    if (marker === 0xff) {
      at += 1;
      continue;
    }
    // C0 to CF begin a frame, except C4, CC (tables) and C8 (reserved); none follows SOS (DA).
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return { precision: bytes[at + 4]!, height: word(at + 5), width: word(at + 7), components: bytes[at + 9]! };
    }
    if (marker === 0xda || marker === 0xd9) return undefined;
    at += 2 + word(at + 2);
  }
  return undefined;
}

/** Decoded samples: `[height, width, channels]`, 8 or 16 bits each. */
interface RawPixels {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly samples: Uint8Array | Uint16Array;
}

/** Drops alpha without compositing, repeats gray, takes the high byte of 16 bits; does not copy 8-bit RGB. */
function rgbPixels({ width, height, channels, samples }: RawPixels): Uint8Array {
  if (channels === 3 && samples instanceof Uint8Array) return samples;
  const shift = samples instanceof Uint16Array ? 8 : 0;
  // One channel is gray, two gray with alpha, four RGB with alpha.
  const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0, from = 0; at < rgb.length; at += 3, from += channels) {
    rgb[at] = samples[from]! >> shift;
    rgb[at + 1] = samples[from + green]! >> shift;
    rgb[at + 2] = samples[from + blue]! >> shift;
  }
  return rgb;
}

/** CMYK to RGB as in Pillow, without a profile: `r = (255 - k) - c (255 - k) / 255`, from the first four channels. */
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
