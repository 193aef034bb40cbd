/** @file Frames of MPEG audio, and their headers. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';

/** What a frame says about itself. */
export interface MpegHeader {
  /** Hz. */
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  /** Bytes of the whole frame. */
  readonly length: number;
  /** Samples per channel that it decodes to. */
  readonly samples: number;
  /** Where the decoder's side information ends, and the tag of an encoder begins, counted from the frame's beginning. */
  readonly tagAt: number;
}

const RATES = [44_100, 48_000, 32_000];
/** kbit/s by index, of MPEG 1 and of MPEG 2 and 2.5; 0 is "free" and not read. */
const BITRATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
] as const;

/**
 * The header at the beginning of `bytes`; undefined where none is.
 *
 * @see https://www.iso.org/standard/22412.html ISO/IEC 11172-3, 2.4.1.3
 */
export function mpegHeader(bytes: Uint8Array): MpegHeader | undefined {
  const [a, b, c, d] = bytes;
  if (a !== 0xff || b === undefined || c === undefined || d === undefined) return undefined;
  // Eleven bits of sync, two of version (1 is reserved), two of layer (01 is III).
  if ((b & 0xe6) !== 0xe2) return undefined;
  const version = (b >> 3) & 3;
  const rate = RATES[(c >> 2) & 3];
  if (version === 1 || rate === undefined) return undefined;
  const isFirst = version === 3;
  const bitrate = BITRATES[isFirst ? 0 : 1][c >> 4];
  if (!bitrate) return undefined;
  const sampleRate = rate / (isFirst ? 1 : version === 2 ? 2 : 4);
  const samples = isFirst ? 1152 : 576;
  const channels = d >> 6 === 3 ? 1 : 2;
  const sideInfo = isFirst ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  return {
    sampleRate,
    channels,
    length: Math.floor((samples * bitrate * 125) / sampleRate) + ((c >> 1) & 1),
    samples,
    tagAt: 4 + sideInfo,
  };
}

/** Tags of this many bytes at most are stepped over at a time; 256 MiB is what ID3 can say. */
const TAG_HEAD = 32;

/**
 * The frames from where `bytes` stands to the end. Tags (ID3, APE) and zeros between them are stepped over.
 *
 * @throws OnnxLoraError `DATA_INVALID` where anything else is between two frames, the last one is cut short, or rate or number
 * of channels change
 */
export async function* mpegFrames(bytes: ByteCursor, first: MpegHeader): AsyncGenerator<Uint8Array> {
  for (let number = 1; ; number++) {
    await skipTags(bytes);
    const head = await bytes.peek(4);
    if (head.length === 0) return;
    const header = mpegHeader(head);
    if (!header) throw audioInvalid(bytes, `is damaged: what follows frame ${number - 1} is no frame. ${DAMAGED}`);
    if (header.sampleRate !== first.sampleRate || header.channels !== first.channels) {
      throw audioInvalid(bytes, `changes its rate or number of channels at frame ${number}. ${DAMAGED}`);
    }
    const frame = await bytes.take(header.length);
    if (frame.length < header.length) throw audioInvalid(bytes, `is cut short in frame ${number}. ${DAMAGED}`);
    yield frame;
  }
}

/** Steps over what players step over too. */
export async function skipTags(bytes: ByteCursor): Promise<void> {
  for (;;) {
    const head = await bytes.peek(TAG_HEAD);
    const length = tagLength(head) ?? leadingZeros(head);
    if (length === 0) return;
    await bytes.skip(length);
  }
}

function tagLength(head: Uint8Array): number | undefined {
  const text = Buffer.from(head.subarray(0, 8)).toString('latin1');
  if (text.startsWith('ID3') && head.length >= 10) {
    // Seven bits a byte; a footer of ten more bytes if the flag says so.
    const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    return 10 + size + (head[5]! & 0x10 ? 10 : 0);
  }
  if (text.startsWith('TAG')) return 128;
  if (text === 'APETAGEX' && head.length === TAG_HEAD) {
    const view = new DataView(head.buffer, head.byteOffset);
    const isHeader = (view.getUint32(20, true) & 0x2000_0000) !== 0;
    // The size counts the items and the footer; a footer without a header is all there is left of the tag.
    return 32 + (isHeader ? view.getUint32(12, true) : 0);
  }
  return undefined;
}

function leadingZeros(head: Uint8Array): number {
  const at = head.findIndex((byte) => byte !== 0);
  return at < 0 ? head.length : at;
}
