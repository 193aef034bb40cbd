/** @file Tells an image's format by its first bytes, before any decoder is let near a stranger's file. */

import { extname } from 'node:path';

/** Formats that are decoded. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'tiff' | 'gif' | 'avif';

/** File endings by which a folder's images are found, in lower case with the dot. */
export const imageEndings: readonly string[] = ['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.gif', '.avif'];

/** Whether a file's ending is that of an image. */
export function isImage(name: string): boolean {
  return imageEndings.includes(extname(name).toLowerCase());
}

/** How many bytes {@link imageFormat} looks at. */
export const signatureLength = 64;

/** The format that the first {@link signatureLength} bytes of a file announce; undefined for any other file. */
export function imageFormat(start: Uint8Array): ImageFormat | undefined {
  const text = String.fromCharCode(...start.subarray(0, signatureLength));
  if (text.startsWith('\xff\xd8\xff')) return 'jpeg';
  if (text.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
  if (text.startsWith('RIFF') && text.slice(8, 12) === 'WEBP') return 'webp';
  if (text.startsWith('II*\0') || text.startsWith('MM\0*') || text.startsWith('II+\0') || text.startsWith('MM\0+')) {
    return 'tiff';
  }
  if (text.startsWith('GIF87a') || text.startsWith('GIF89a')) return 'gif';
  // An ISO base media file lists its brands after `ftyp`: the major one, a version, then the compatible ones.
  if (text.slice(4, 8) === 'ftyp' && /avi[fs]/.test(text.slice(8))) return 'avif';
  return undefined;
}

/** What a file that is no image probably is, for the error message; empty where nothing can be said. */
export function whatElse(start: Uint8Array): string {
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
