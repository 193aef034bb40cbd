/** @file FLAC files. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks, type AudioShape } from '../decodeChunks.ts';
import { type FlacFrame, flacFrames } from './flacFrames.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat } from '../audioFormat.ts';

/** The STREAMINFO block. */
interface StreamInfo extends AudioShape {
  /** Bits of a sample. */
  readonly bits: number;
  /** Samples per channel; undefined where the encoder did not know. */
  readonly frames?: number;
}

/** Bytes of the block without its header. */
const STREAM_INFO_BYTES = 34;

/**
 * @param block the block without its header
 * @throws OnnxLoraError `DATA_INVALID` when it is cut short
 * @see https://www.rfc-editor.org/rfc/rfc9639.html section 8.2
 */
export function streamInfo(bytes: ByteCursor, block: Uint8Array): StreamInfo {
  if (block.length < STREAM_INFO_BYTES) throw audioInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  // Twenty bits of rate, three of channels, five of depth, thirty-six of samples.
  const packed = view.getUint32(10);
  const sampleRate = packed >>> 12;
  const bits = ((packed >>> 4) & 0x1f) + 1;
  const frames = (packed & 0xf) * 2 ** 32 + view.getUint32(14);
  return { sampleRate, channels: ((packed >>> 9) & 7) + 1, bits, ...(frames > 0 && { frames }) };
}

/**
 * A sound of FLAC frames, each of which stands for itself, so that those before a span are not decoded.
 *
 * @throws OnnxLoraError `DATA_INVALID` when the decoder is not installed
 */
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

/**
 * The decoder divides integers by 2^(bits − 1) − 1, so that the lowest one is below −1. libsndfile and others, and the other
 * formats here, divide by 2^(bits − 1).
 */
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

/** Steps over tags, pictures and tables, up to the first frame. */
async function skipMetadata(bytes: ByteCursor): Promise<void> {
  for (;;) {
    const head = await bytes.take(4);
    if (head.length < 4) throw audioInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
    await bytes.skip(head[1]! * 65_536 + head[2]! * 256 + head[3]!);
    if (head[0]! & 0x80) return;
  }
}
