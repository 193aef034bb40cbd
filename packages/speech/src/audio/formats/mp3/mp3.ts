/** @file The MP3 format, decoded by mpg123-decoder; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat, withoutLast } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';

/** A decoder's own delay in samples, on top of the encoder's. */
const DECODER_DELAY = 529;
/** Frames decoded before a span, since a frame depends on bits and samples of earlier ones. */
const LEAD_IN = 40;
/** The decoder's summation order repeats after so many frames; keeps a span bit-equal to the whole. */
const PERIOD = 8;
/** Frames per chunk: a quarter to half of a second. */
const FRAMES = 16;

/** MP3 (MPEG 1, 2, 2.5, layer III); cuts off the encoder's padding if its tag tells how much. */
export const mp3: AudioFormat = {
  name: 'MP3',
  fileEndings: ['.mp3'],
  recognises: (head) => Buffer.from(head.subarray(0, 3)).toString('latin1') === 'ID3' || mpegHeader(head) !== undefined,
  async open(bytes): Promise<OpenAudio> {
    const { MPEGDecoder } = await optionalPackage(bytes, 'MP3', 'mpg123-decoder', () => import('mpg123-decoder'));
    await skipTags(bytes);
    const header = mpegHeader(await bytes.peek(4));
    if (!header) throw audioInvalid(bytes, `is no MP3 file behind its tag. ${DAMAGED}`);
    const tag = encoderTag(await bytes.peek(header.length), header);
    if (tag) await bytes.skip(header.length);
    const before = tag?.delay ? tag.delay + DECODER_DELAY : 0;
    const after = tag?.delay ? Math.max(0, tag.padding - DECODER_DELAY) : 0;
    return {
      sampleRate: header.sampleRate,
      channels: header.channels,
      async *pieces(start, end) {
        const wanted = Math.floor((before + start) / header.samples) - LEAD_IN;
        const skipped = Math.max(0, wanted - (wanted % PERIOD));
        // Tags and delay are handled here.
        const decoder = new MPEGDecoder({ enableGapless: false });
        const pieces = decodeChunks(
          bytes,
          decoder as ChunkDecoder<Uint8Array>,
          chunks(bytes, header, tag, skipped),
          header,
        );
        const offset = before - skipped * header.samples;
        yield* cutPieces(withoutLast(pieces, after), offset + start, offset + end);
      },
    };
  },
};

/** Chunks of frames from number `skipped` on. */
async function* chunks(
  bytes: ByteCursor,
  header: MpegHeader,
  tag: EncoderTag | undefined,
  skipped: number,
): AsyncGenerator<Uint8Array> {
  let count = 0;
  let held: Uint8Array[] = [];
  for await (const frame of mpegFrames(bytes, header)) {
    count++;
    if (count <= skipped) continue;
    held.push(frame);
    if (held.length < FRAMES) continue;
    yield Buffer.concat(held);
    held = [];
  }
  if (held.length > 0) yield Buffer.concat(held);
  if (tag?.frames !== undefined && count < tag.frames) {
    throw audioInvalid(bytes, `is cut short: ${tag.frames} frames are announced, but only ${count} came. ${DAMAGED}`);
  }
}

/** The tag in the first frame of most files, which holds no sound. */
interface EncoderTag {
  readonly frames?: number;
  /** Samples that the encoder added before and after the sound. */
  readonly delay: number;
  readonly padding: number;
}

/** The encoder's tag; undefined in a frame of sound. @see http://gabriel.mp3-tech.org/mp3infotag.html */
function encoderTag(frame: Uint8Array, { tagAt }: MpegHeader): EncoderTag | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const text = (at: number, length: number): string => Buffer.from(frame.subarray(at, at + length)).toString('latin1');
  // Fraunhofer's tag has nothing that is needed.
  if (text(36, 4) === 'VBRI') return { delay: 0, padding: 0 };
  if (!['Xing', 'Info'].includes(text(tagAt, 4)) || frame.length < tagAt + 8) return undefined;
  const flags = view.getUint32(tagAt + 4);
  // Each flag announces a field: frames, bytes, table of contents, quality.
  const sizes = [4, 4, 100, 4].map((size, bit) => (flags & (1 << bit) ? size : 0));
  const frames = flags & 1 && frame.length >= tagAt + 12 ? view.getUint32(tagAt + 8) : undefined;
  const lame = tagAt + 8 + sizes.reduce((sum, size) => sum + size, 0);
  const isThere = frame.length >= lame + 24 && /^[A-Z][a-zA-Z]{3}/.test(text(lame, 4));
  const gaps = isThere ? view.getUint32(lame + 20) & 0xff_ffff : 0;
  return { ...(frames !== undefined && { frames }), delay: gaps >> 12, padding: gaps & 0xfff };
}

export interface MpegHeader {
  readonly sampleRate: number;
  readonly channels: 1 | 2;
  readonly length: number;
  readonly samples: number;
  /** Offset of an encoder's tag: the end of the side information. */
  readonly tagAt: number;
}

const RATES = [44_100, 48_000, 32_000];
/** kbit/s by index, for MPEG 1 and for MPEG 2 and 2.5; 0 is the unsupported "free". */
const BITRATES = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
] as const;

/** Parses a header, if there is one. @see https://www.iso.org/standard/22412.html ISO/IEC 11172-3, 2.4.1.3 */
function mpegHeader(bytes: Uint8Array): MpegHeader | undefined {
  const [a, b, c, d] = bytes;
  if (a !== 0xff || b === undefined || c === undefined || d === undefined) return undefined;
  // 11 bits of sync, 2 of version (1 is reserved), 2 of layer (01 is III).
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

const TAG_HEAD = 32;

/**
 * The frames to the end, without tags (ID3, APE) and zeros.
 * @throws OnnxLoraError `DATA_INVALID` for other data between frames, a truncated last frame, or a change of rate or
 *   channels
 */
async function* mpegFrames(bytes: ByteCursor, first: MpegHeader): AsyncGenerator<Uint8Array> {
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

/** Skips what players skip. */
async function skipTags(bytes: ByteCursor): Promise<void> {
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
    // Seven bits a byte; a flag announces a footer of ten more bytes.
    const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    return 10 + size + (head[5]! & 0x10 ? 10 : 0);
  }
  if (text.startsWith('TAG')) return 128;
  if (text === 'APETAGEX' && head.length === TAG_HEAD) {
    const view = new DataView(head.buffer, head.byteOffset);
    const isHeader = (view.getUint32(20, true) & 0x2000_0000) !== 0;
    // The size counts items and footer; a footer without a header is the rest of a tag.
    return 32 + (isHeader ? view.getUint32(12, true) : 0);
  }
  return undefined;
}

function leadingZeros(head: Uint8Array): number {
  const at = head.findIndex((byte) => byte !== 0);
  return at < 0 ? head.length : at;
}
