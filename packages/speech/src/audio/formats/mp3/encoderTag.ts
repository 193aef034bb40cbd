/** @file Reads what the encoder of an MP3 file left in its first frame. */

import type { MpegHeader } from './mpegHeader.ts';

/** The first frame of most files holds no sound but this. */
export interface EncoderTag {
  /** Frames of sound that follow. */
  readonly frames?: number;
  /** Samples that the encoder added before the sound, and after it. */
  readonly delay: number;
  readonly padding: number;
}

/**
 * The tag in a frame; undefined where it is a frame of sound.
 *
 * @see http://gabriel.mp3-tech.org/mp3infotag.html
 */
export function encoderTag(frame: Uint8Array, { tagAt }: MpegHeader): EncoderTag | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const text = (at: number, length: number): string => Buffer.from(frame.subarray(at, at + length)).toString('latin1');
  // Fraunhofer's tag has a place of its own; it tells nothing that is needed here.
  if (text(36, 4) === 'VBRI') return { delay: 0, padding: 0 };
  if (!['Xing', 'Info'].includes(text(tagAt, 4)) || frame.length < tagAt + 8) return undefined;
  const flags = view.getUint32(tagAt + 4);
  // Each flag says that a field is there: frames, bytes, a table of contents, the quality.
  const sizes = [4, 4, 100, 4].map((size, bit) => (flags & (1 << bit) ? size : 0));
  const frames = flags & 1 && frame.length >= tagAt + 12 ? view.getUint32(tagAt + 8) : undefined;
  const lame = tagAt + 8 + sizes.reduce((sum, size) => sum + size, 0);
  const isThere = frame.length >= lame + 24 && /^[A-Z][a-zA-Z]{3}/.test(text(lame, 4));
  const gaps = isThere ? view.getUint32(lame + 20) & 0xff_ffff : 0;
  return { ...(frames !== undefined && { frames }), delay: gaps >> 12, padding: gaps & 0xfff };
}
