/** @file Which files are recordings. */

import { extname } from 'node:path';

/** Endings of sound files. Whether one can be decoded is the reader's affair. */
export const audioEndings: readonly string[] = [
  '.wav',
  '.wave',
  '.flac',
  '.mp3',
  '.ogg',
  '.oga',
  '.opus',
  '.m4a',
  '.mp4',
  '.aac',
  '.webm',
];

/** Whether a file's ending is that of a recording. */
export function isAudio(name: string): boolean {
  return audioEndings.includes(extname(name).toLowerCase());
}

/** A file's name without its ending. */
export function stemOf(name: string): string {
  return name.slice(0, name.length - extname(name).length);
}
