/** @file FLAC: its frames, checked since decoders would pass over damage as a gap, and their decoding. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks, type AudioShape } from '../decodeChunks.ts';

interface StreamInfo extends AudioShape {
  readonly bits: number;
  /** Samples per channel; undefined if the encoder did not know. */
  readonly frames?: number;
}

const STREAM_INFO_BYTES = 34;

/**
 * Parses the block. @throws OnnxLoraError `DATA_INVALID` @see https://www.rfc-editor.org/rfc/rfc9639.html section 8.2
 */
export function streamInfo(bytes: ByteCursor, block: Uint8Array): StreamInfo {
  if (block.length < STREAM_INFO_BYTES) throw audioInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  // 20 bits of rate, 3 of channels, 5 of depth, 36 of samples.
  const packed = view.getUint32(10);
  const sampleRate = packed >>> 12;
  const bits = ((packed >>> 4) & 0x1f) + 1;
  const frames = (packed & 0xf) * 2 ** 32 + view.getUint32(14);
  return { sampleRate, channels: ((packed >>> 9) & 7) + 1, bits, ...(frames > 0 && { frames }) };
}

/** Opens FLAC; decodes no frames before a span. @throws OnnxLoraError `DATA_INVALID` if the decoder is not installed */
export async function openFlac(
  bytes: ByteCursor,
  info: StreamInfo,
  frames: () => AsyncIterable<FlacFrame>,
): Promise<OpenAudio> {
  const { FLACDecoder } = await optionalPackage(
    bytes,
    'FLAC',
    '@wasm-audio-decoders/flac',
    () => import('@wasm-audio-decoders/flac'),
  );
  return {
    ...info,
    async *pieces(start, end) {
      let skipped = 0;
      let total = 0;
      const chunks = async function* (): AsyncGenerator<Uint8Array[]> {
        let held: Uint8Array[] = [];
        let samples = 0;
        for await (const frame of frames()) {
          total += frame.samples;
          if (total <= start) {
            skipped = total;
            continue;
          }
          held.push(frame.bytes);
          samples += frame.samples;
          if (samples < info.sampleRate / 2) continue;
          yield held;
          held = [];
          samples = 0;
        }
        if (held.length > 0) yield held;
        if (info.frames !== undefined && total !== info.frames) {
          throw audioInvalid(
            bytes,
            `is cut short: ${info.frames} samples are announced, but ${total} came. ${DAMAGED}`,
          );
        }
      };
      const flac = new FLACDecoder();
      const decoder: ChunkDecoder<Uint8Array[]> = {
        ready: flac.ready,
        decode: (chunk) => flac.decodeFrames(chunk),
        free: () => flac.free(),
      };
      let at = 0;
      for await (const piece of decodeChunks(bytes, decoder, chunks(), info)) {
        if (at === 0) at = skipped;
        const from = at;
        at += piece[0]!.length;
        for await (const part of cutPieces([piece], start - from, end - from)) {
          yield part.map((channel) => rescaled(channel, info.bits));
        }
        if (at >= end) return;
      }
      if (Math.max(at, skipped) < total)
        throw audioInvalid(bytes, `is damaged: of ${total} samples not all came. ${DAMAGED}`);
    },
  };
}

/** Undoes the decoder's division by 2^(bits − 1) − 1: libsndfile and our other formats divide by 2^(bits − 1). */
function rescaled(samples: Float32Array, bits: number): Float32Array {
  const highest = 2 ** (bits - 1) - 1;
  return samples.map((sample) => Math.round(sample * highest) / (highest + 1));
}

/** FLAC of 4 to 32 bits and 1 to 8 channels. */
export const flac: AudioFormat = {
  name: 'FLAC',
  fileEndings: ['.flac'],
  recognises: (head) => Buffer.from(head.subarray(0, 4)).toString('latin1') === 'fLaC',
  async open(bytes): Promise<OpenAudio> {
    const head = await bytes.peek(8 + STREAM_INFO_BYTES);
    if ((head[4]! & 0x7f) !== 0) throw audioInvalid(bytes, `does not begin with a STREAMINFO block. ${DAMAGED}`);
    const info = streamInfo(bytes, head.subarray(8));
    await bytes.skip(4);
    await skipMetadata(bytes);
    return openFlac(bytes, info, () => flacFrames(bytes));
  },
};

async function skipMetadata(bytes: ByteCursor): Promise<void> {
  for (;;) {
    const head = await bytes.take(4);
    if (head.length < 4) throw audioInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
    await bytes.skip(head[1]! * 65_536 + head[2]! * 256 + head[3]!);
    if (head[0]! & 0x80) return;
  }
}

/** A frame with valid checksums. */
export interface FlacFrame {
  readonly bytes: Uint8Array;
  readonly samples: number;
}

interface FrameHeader {
  readonly length: number;
  readonly samples: number;
  /** Number of the frame, or of its first sample where frames differ in size. */
  readonly number: number;
  readonly isVariable: boolean;
}

const MOST_HEADER = 16;
/** Initial size of the search window; doubled until the frame ends. */
const WINDOW = 2 ** 14;
/** An upper bound for 65535 samples of 8 channels and 32 bits. */
const MOST_BYTES = 2 ** 22;

/**
 * The frames from `bytes`, after the metadata, to the end.
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

/** Length of the frame at `bytes`: to a valid checksum that another frame, or the end, follows. */
async function frameLength(bytes: ByteCursor, header: FrameHeader): Promise<number | undefined> {
  let crc = 0;
  let at = 0;
  for (let size = WINDOW; size <= MOST_BYTES; size *= 2) {
    const window = await bytes.peek(size);
    const isEnd = window.length < size;
    // The checksum of data with its checksum is 0.
    for (; at < window.length; at++) {
      if (crc === 0 && at > header.length && window[at] === 0xff) {
        // A header at the edge of the window waits for the next one.
        if (!isEnd && at + MOST_HEADER > window.length) break;
        if (frameHeader(window.subarray(at, at + MOST_HEADER))) return at;
      }
      crc = ((crc << 8) & 0xffff) ^ crc16[(crc >> 8) ^ window[at]!]!;
    }
    if (isEnd) return crc === 0 ? at : undefined;
  }
  return undefined;
}

/** Samples of the frame at the beginning of `head`; undefined if it is no frame. */
export function flacFrameSamples(head: Uint8Array): number | undefined {
  return frameHeader(head.subarray(0, MOST_HEADER))?.samples;
}

/** Parses the frame header at the beginning of `head`; undefined without one. */
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

/** Decodes a number in UTF-8's scheme, of up to seven bytes. */
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
