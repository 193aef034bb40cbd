/** @file Image files: reads them, detects the format before decoding an untrusted file, writes indexed PNG. */

import { OnnxLoraError } from '@onnx-lora/sdk/data';
import { concatBytes, crc32, deflateSync, extname, open } from '@onnx-lora/sdk/platform';
import type { Color, Mask } from '../augment/sample.ts';

export type ImageKind = 'image' | 'mask';

/** Reads a file, since libvips would cache by path. @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` */
export async function readImageFile(file: string, most: number, kind: ImageKind = 'image'): Promise<Uint8Array> {
  try {
    const handle = await open(file);
    try {
      checkBytes((await handle.stat()).size, most, file, kind);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no ${kind} "${file}". Check the path.`, { cause });
    const reason = code === 'EISDIR' ? 'it is a folder' : cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError('DATA_INVALID', `Cannot read the ${kind} "${file}": ${reason}. Check the path.`, { cause });
  }
}

/** @throws OnnxLoraError `DATA_INVALID` above `most` bytes */
export function checkBytes(size: number, most: number, name: string, kind: ImageKind = 'image'): void {
  if (size <= most) return;
  const remedy = kind === 'image' ? 'Make it smaller, or raise maxBytes of ImageFileDecoder.' : 'Make it smaller.';
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The ${kind} "${name}" has ${size} bytes, more than the limit of ${most}. ${remedy}`,
  );
}

export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff' | 'gif' | 'avif';

/** Endings of image files, in lower case with the dot. */
export const imageEndings: readonly string[] = ['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.gif', '.avif'];

/** True for the ending of an image. */
export function isImage(name: string): boolean {
  return imageEndings.includes(extname(name).toLowerCase());
}

/** Bytes that {@link imageFormat} reads. */
export const signatureLength = 64;

/** Detects the format from the first {@link signatureLength} bytes, if known. */
export function imageFormat(start: Uint8Array): ImageFormat | undefined {
  const text = String.fromCharCode(...start.subarray(0, signatureLength));
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'webp';
  if (text.startsWith('II*\0') || text.startsWith('MM\0*') || text.startsWith('II+\0') || text.startsWith('MM\0+')) {
    return 'tiff';
  }
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif';
  // ISO base media lists its brands after `ftyp`: the major one, a version, then compatible ones.
  if (text.slice(4, 8) === 'ftyp' && /avi[fs]/.test(text.slice(8))) return 'avif';
  return undefined;
}

/** Guesses the kind of a file that is no image, for messages. */
export function kindOfOtherFile(start: Uint8Array): string {
  const text = String.fromCharCode(...start.subarray(0, signatureLength)).trimStart();
  if (start.length === 0) return 'the file is empty';
  if (text.startsWith('version https://git-lfs')) return 'it is a Git LFS pointer, not the image itself';
  if (/^<(\?xml|svg)/i.test(text)) return 'it looks like SVG or XML';
  if (/^<(!doctype|html)/i.test(text)) return 'it looks like a web page';
  if (text.startsWith('BM')) return 'it looks like BMP';
  if (text.startsWith('%PDF')) return 'it is a PDF';
  if (text.slice(4, 8) === 'ftyp') return 'it looks like HEIC or a video';
  return 'its first bytes are of no known image format';
}

const SIGNATURE = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A PNG with `mask` as 8-bit indices into a palette of `color`. */
export function indexedPng({ width, height, data }: Mask, color: (number: number) => Color): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  // 8 bits of a palette.
  header.set([8, 3, 0, 0, 0], 8);
  const palette = Uint8Array.from(Array.from({ length: 256 }, (_, number) => color(number)).flat());
  // Each row begins with its filter: 0, none, which suits uniform areas.
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  return concatBytes([
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
