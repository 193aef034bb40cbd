/** @file Takes a FLAC file apart into its frames, and finds where it is damaged: decoders would only leave a gap. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';

/** One frame, with its checksums proved. */
export interface FlacFrame {
  readonly bytes: Uint8Array;
  /** Samples per channel. */
  readonly samples: number;
}

interface FrameHeader {
  readonly length: number;
  readonly samples: number;
  /** The number of the frame, or of its first sample where frames differ in size. */
  readonly number: number;
  readonly isVariable: boolean;
}

/** More than any header takes. */
const MOST_HEADER = 16;
/** What a frame is looked for in at first; doubled until it ends. */
const WINDOW = 2 ** 14;
/** More than 65535 samples of 8 channels and 32 bits take. */
const MOST_BYTES = 2 ** 22;

/**
 * The frames from where `bytes` stands, behind the metadata, to the end.
 *
 * @throws OnnxLoraError `DATA_INVALID` where a checksum is wrong, a frame is missing or cut short
 * @see https://www.rfc-editor.org/rfc/rfc9639.html section 9
 */
export async function* flacFrames(bytes: ByteCursor): AsyncGenerator<FlacFrame> {
  let expected: number | undefined;
  for (let count = 0; ; count++) {
    const head = await bytes.peek(MOST_HEADER);
    if (head.length === 0) return;
    const header = frameHeader(head);
    if (!header) throw audioInvalid(bytes, `is damaged: what follows frame ${count} is no frame. ${DAMAGED}`);
    if (expected !== undefined && header.number !== expected) {
      throw audioInvalid(bytes, `is damaged: something is missing after frame ${count}. ${DAMAGED}`);
    }
    expected = header.number + (header.isVariable ? header.samples : 1);
    const length = await frameLength(bytes, header);
    if (length === undefined) throw audioInvalid(bytes, `is damaged or cut short in frame ${count + 1}. ${DAMAGED}`);
    yield { bytes: await bytes.take(length), samples: header.samples };
  }
}

/** How long the frame is at which `bytes` stands: to where its checksum holds and another one begins, or the sound ends. */
async function frameLength(bytes: ByteCursor, header: FrameHeader): Promise<number | undefined> {
  let crc = 0;
  let at = 0;
  for (let size = WINDOW; size <= MOST_BYTES; size *= 2) {
    const window = await bytes.peek(size);
    const isEnd = window.length < size;
    // A checksum over itself is 0.
    for (; at < window.length; at++) {
      if (crc === 0 && at > header.length && window[at] === 0xff) {
        // A header at the window's edge is looked at in the next one.
        if (!isEnd && at + MOST_HEADER > window.length) break;
        if (frameHeader(window.subarray(at, at + MOST_HEADER))) return at;
      }
      crc = ((crc << 8) & 0xffff) ^ crc16[(crc >> 8) ^ window[at]!]!;
    }
    if (isEnd) return crc === 0 ? at : undefined;
  }
  return undefined;
}

/** How many samples a frame says it has; undefined where `head` is no beginning of a frame. */
export function flacFrameSamples(head: Uint8Array): number | undefined {
  return frameHeader(head.subarray(0, MOST_HEADER))?.samples;
}

/** The header at the beginning of `head`; undefined where none is. */
function frameHeader(head: Uint8Array): FrameHeader | undefined {
  const [a, b = 0, c = 0, d = 0] = head;
  if (a !== 0xff || (b & 0xfe) !== 0xf8 || (d & 1) !== 0) return undefined;
  const [sizeCode, rateCode] = [c >> 4, c & 15];
  if (sizeCode === 0 || rateCode === 15 || d >> 4 > 10) return undefined;
  const number = codedNumber(head.subarray(4));
  if (!number) return undefined;
  let at = 4 + number.length;
  let samples = sizeCode === 1 ? 192 : sizeCode < 8 ? 576 << (sizeCode - 2) : 256 << (sizeCode - 8);
  if (sizeCode === 6) samples = head[at++]! + 1;
  if (sizeCode === 7) samples = head[at++]! * 256 + head[at++]! + 1;
  at += rateCode === 12 ? 1 : rateCode > 12 ? 2 : 0;
  if (at >= head.length || head[at] !== checksum8(head.subarray(0, at))) return undefined;
  return { length: at + 1, samples, number: number.value, isVariable: (b & 1) === 1 };
}

/** A number that is coded as UTF-8 codes letters, but of up to seven bytes. */
function codedNumber(bytes: Uint8Array): { value: number; length: number } | undefined {
  const [first = 0xff] = bytes;
  const ones = Math.clz32(~(first << 24));
  if (ones === 0) return { value: first, length: 1 };
  if (ones === 1 || ones > 7 || bytes.length < ones) return undefined;
  let value = first & (0x7f >> ones);
  for (let i = 1; i < ones; i++) {
    if (bytes[i]! >> 6 !== 2) return undefined;
    value = value * 64 + (bytes[i]! & 0x3f);
  }
  return { value, length: ones };
}

const crc16 = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x8005 : crc << 1;
  return crc;
});

function checksum8(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  }
  return crc;
}
