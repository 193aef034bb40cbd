/** @file The decoder of image files. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import { decodeRgb, type Header } from './codec.ts';
import { type Image, type ImageDecoder, sourceName } from './image.ts';
import { imageFormat, signatureLength, kindOfOtherFile, checkBytes, readImageFile } from './imageFile.ts';

/** Limits, since an untrusted file of a few bytes can claim any size. */
export interface ImageFileDecoderOptions {
  /** Most pixels of an image; 100 million by default, which takes 300 MB. */
  readonly maxPixels?: number;
  /** Most bytes of a file; 512 MB by default. */
  readonly maxBytes?: number;
}

/**
 * Decodes JPEG, PNG, WebP, TIFF, GIF and AVIF like Pillow's `ImageOps.exif_transpose` and `convert("RGB")`: upright,
 * first frame, alpha dropped without compositing, colour profiles ignored. For 16-bit gray it takes the high byte, where
 * Pillow clips to white. In Node sharp (libvips) decodes, on a page the browser: Chromium gives the same bytes, but
 * knows no TIFF.
 */
export class ImageFileDecoder implements ImageDecoder {
  readonly #maxPixels: number;
  readonly #maxBytes: number;

  /** The limits, to make an equal decoder. */
  get limits(): Required<ImageFileDecoderOptions> {
    return { maxPixels: this.#maxPixels, maxBytes: this.#maxBytes };
  }

  /** See {@link ImageFileDecoderOptions}. */
  constructor({ maxPixels = 100_000_000, maxBytes = 512 * 1024 * 1024 }: ImageFileDecoderOptions = {}) {
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
    try {
      return await decodeRgb(bytes, format, this.#maxPixels, (header) => this.#check(header, file));
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
        `The image "${file}" has ${metadata.width} x ${metadata.height} pixels, ${pixels} in all, more than the limit of ${this.#maxPixels}. Make it smaller, or raise maxPixels of ImageFileDecoder.`,
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
