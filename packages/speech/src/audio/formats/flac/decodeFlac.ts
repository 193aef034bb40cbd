/** @file Decodes FLAC, alone or in Ogg, with @wasm-audio-decoders/flac; the only file that imports it. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { cutPieces } from '../cutPieces.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { optionalPackage } from '../optionalPackage.ts';
import type { OpenSound } from '../soundFormat.ts';
import type { FlacFrame } from './flacFrames.ts';
import type { StreamInfo } from './streamInfo.ts';

/**
 * A sound of FLAC frames, each of which stands for itself, so that those before a span are not decoded.
 *
 * @throws OnnxLoraError `DATA_INVALID` when the decoder is not installed
 */
export async function openFlac(
  bytes: ByteCursor,
  info: StreamInfo,
  frames: () => AsyncIterable<FlacFrame>,
): Promise<OpenSound> {
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
          throw soundInvalid(
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
        throw soundInvalid(bytes, `is damaged: of ${total} samples not all came. ${DAMAGED}`);
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
