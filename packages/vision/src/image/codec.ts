/** @file Decodes and encodes images by sharp (libvips). On a page, `browser/codec.ts` takes this file's place. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import type { Sharp, SharpOptions } from 'sharp';
import type { Size } from '../preprocess/imagePlan.ts';
import type { Image } from './image.ts';
import type { ImageFormat } from './imageFile.ts';

const strict = {
  // Fails on truncated and corrupt files, not on harmless oddities.
  failOn: 'error',
  ignoreIcc: true,
  sequentialRead: true,
} satisfies SharpOptions;

/**
 * Decodes the first frame, upright and without alpha.
 * @param check is given the header, before memory for the pixels is taken
 * @throws Error for a truncated or corrupt file
 */
export async function decodeRgb(
  bytes: Uint8Array,
  format: ImageFormat,
  maxPixels: number,
  check: (header: Header) => void,
): Promise<Image> {
  // Loaded lazily, since much of this package decodes no image.
  const { default: sharp } = await import('sharp');
  const options = { ...strict, limitInputPixels: maxPixels };
  const header = plainHeader(bytes, format) ?? (await sharp(bytes, { ...options, limitInputPixels: false }).metadata());
  check(header);
  return rgbOf(sharp(bytes, options).autoOrient(), header);
}

/** Facts of an image's header. */
export interface Header {
  readonly width: number;
  readonly height: number;
  /** Type of the samples by libvips' name: `uchar`, `ushort`. */
  readonly depth: string;
  readonly space: string;
}

/** Parses an ordinary JPEG's header: asking sharp takes a tenth of the decoding time. */
function plainHeader(bytes: Uint8Array, format: ImageFormat): Header | undefined {
  const header = format === 'jpeg' ? jpegHeader(bytes) : undefined;
  if (!header || header.precision !== 8 || (header.components !== 1 && header.components !== 3)) return undefined;
  return { width: header.width, height: header.height, depth: 'uchar', space: 'srgb' };
}

async function rgbOf(image: Sharp, metadata: Header): Promise<Image> {
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

/** Samples of an image whose colours are numbers. */
export interface NumberSamples {
  readonly width: number;
  readonly height: number;
  /** One for gray, three for colours. */
  readonly channels: number;
  readonly samples: Uint8Array | Uint16Array;
}

/** Bits of each sample of an image that is no PNG, and whether it is gray. @throws Error for a corrupt file */
export async function sampleFacts(bytes: Uint8Array, maxPixels: number): Promise<{ bits: number; isGray: boolean }> {
  const { default: sharp } = await import('sharp');
  const { depth, space } = await sharp(bytes, { ...strict, limitInputPixels: maxPixels }).metadata();
  return { bits: depth === 'ushort' ? 16 : 8, isGray: space === 'b-w' || space === 'grey16' };
}

/** Decodes samples as they are stored; those of 1, 2 and 4 bits scaled to 8. @throws Error for a corrupt file */
export async function decodeSamples(
  bytes: Uint8Array,
  { bits, isGray }: { readonly bits: number; readonly isGray: boolean },
  maxPixels: number,
): Promise<NumberSamples> {
  const isWide = bits === 16;
  const target = isGray ? (isWide ? 'grey16' : 'b-w') : isWide ? 'rgb16' : 'srgb';
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(bytes, { ...strict, limitInputPixels: maxPixels })
    .autoOrient()
    .pipelineColourspace(target)
    .toColourspace(target)
    .raw({ depth: isWide ? 'ushort' : 'uchar' })
    .toBuffer({ resolveWithObject: true });
  // Copied, because a Buffer may start at an odd address.
  return { ...info, samples: isWide ? new Uint16Array(new Uint8Array(data).buffer) : data };
}

/** The size of an image as it is shown, without decoding it. @throws OnnxLoraError `DATA_INVALID`, naming the file */
export async function imageSizeOf(file: string): Promise<Size> {
  const { default: sharp } = await import('sharp');
  try {
    const { autoOrient } = await sharp(file, { limitInputPixels: false }).metadata();
    return { width: autoOrient.width, height: autoOrient.height };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim().split('\n')[0]! : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the size of the image "${file}": ${reason}. Replace the file.`,
      {
        cause,
      },
    );
  }
}

/** Grey levels of an image of `edge` by `edge` pixels, whatever its shape; undefined for an unreadable file. */
export async function greyThumbnail(file: string, edge: number): Promise<Uint8Array | undefined> {
  const { default: sharp } = await import('sharp');
  try {
    return new Uint8Array(
      await sharp(file, { limitInputPixels: false }).resize(edge, edge, { fit: 'fill' }).greyscale().raw().toBuffer(),
    );
  } catch {
    return undefined;
  }
}

/** Encodes a WebP file. */
export async function webp(image: Image): Promise<Uint8Array> {
  return new Uint8Array(await (await pixelsOf(image)).webp({ quality: 80 }).toBuffer());
}

/** The PNG file of a picture. */
export async function png(image: Image): Promise<Uint8Array> {
  return new Uint8Array(await (await pixelsOf(image)).png().toBuffer());
}

async function pixelsOf({ width, height, data }: Image): Promise<Sharp> {
  const { default: sharp } = await import('sharp');
  return sharp(data, { raw: { width, height, channels: 3 } });
}
