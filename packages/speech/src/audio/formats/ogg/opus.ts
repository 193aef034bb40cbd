/** @file Opus, decoded by opus-decoder; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { oggPackets, oggPages, type PagePackets } from './oggPages.ts';

/** Opus counts and decodes at this rate, whatever the recording's. */
const RATE = 48_000;
/** The packets "OpusHead" and "OpusTags". */
const HEADERS = 2;

interface OpusHead {
  readonly channels: number;
  /** Samples to drop at the beginning. */
  readonly preSkip: number;
  readonly gain: number;
  readonly streamCount: number;
  readonly coupledStreamCount: number;
  readonly channelMappingTable: number[];
}

/**
 * Opens Ogg Opus, given the first packet `head`; `bytes` is at the first page.
 * @throws OnnxLoraError `DATA_INVALID` for an invalid header, or if the decoder is not installed
 * @see https://www.rfc-editor.org/rfc/rfc7845.html
 */
export async function openOpus(bytes: ByteCursor, head: Uint8Array): Promise<OpenAudio> {
  const { OpusDecoder } = await optionalPackage(bytes, 'Opus', 'opus-decoder', () => import('opus-decoder'));
  const { preSkip, gain, ...options } = opusHead(bytes, head);
  const shape = { sampleRate: RATE, channels: options.channels };
  return {
    ...shape,
    async *pieces(start, end) {
      let total: number | undefined;
      const opus = new OpusDecoder({ ...options, preSkip: 0 });
      const decoder: ChunkDecoder<Uint8Array[]> = {
        ready: opus.ready,
        decode: (packets) => opus.decodeFrames(packets),
        free: () => opus.free(),
      };
      const packets = async function* (): AsyncGenerator<Uint8Array[]> {
        for await (const page of audioPages(bytes)) {
          // The last page's position tells how much of its last packet is sound.
          if (page.isLast) total = page.granule;
          if (page.packets.length > 0) yield [...page.packets];
        }
      };
      let at = 0;
      for await (const piece of cutPieces(decodeChunks(bytes, decoder, packets(), shape), preSkip, Infinity)) {
        const length = piece[0]!.length;
        const from = Math.max(0, start - at);
        const to = Math.min(length, end - at, (total ?? Infinity) - preSkip - at);
        at += length;
        if (from < to) yield piece.map((channel) => scaled(channel.subarray(from, to), gain));
        if (at >= end) return;
      }
      if (total !== undefined && preSkip + at < total) {
        throw audioInvalid(bytes, `is damaged: ${total} samples are announced, but ${preSkip + at} came. ${DAMAGED}`);
      }
    },
  };
}

async function* audioPages(bytes: ByteCursor): AsyncGenerator<PagePackets> {
  let headers = HEADERS;
  for await (const page of oggPackets(bytes, oggPages(bytes))) {
    const skipped = Math.min(headers, page.packets.length);
    headers -= skipped;
    yield { ...page, packets: page.packets.slice(skipped) };
  }
}

function opusHead(bytes: ByteCursor, head: Uint8Array): OpusHead {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const channels = head[9] ?? 0;
  const family = head[18] ?? 0;
  const mapping = [...head.subarray(21, 21 + channels)];
  // One or two channels need no mapping table.
  const isPlain = family === 0 && (channels === 1 || channels === 2);
  const [streamCount = 0, coupledStreamCount = 0] = isPlain ? [1, channels - 1] : head.subarray(19, 21);
  if (
    head.length < 19 ||
    !(isPlain || (family === 1 && channels >= 1 && channels <= 8 && mapping.length === channels))
  ) {
    throw audioInvalid(bytes, `is Opus of ${channels} channels in layout ${family}, unsupported here. ${DAMAGED}`);
  }
  const table = isPlain ? [0, 1].slice(0, channels) : mapping;
  if (streamCount < 1 || coupledStreamCount > streamCount || streamCount + coupledStreamCount > 255) {
    throw audioInvalid(bytes, `has a damaged Opus header. ${DAMAGED}`);
  }
  return {
    channels,
    preSkip: view.getUint16(10, true),
    gain: 10 ** (view.getInt16(16, true) / 256 / 20),
    streamCount,
    coupledStreamCount,
    channelMappingTable: table,
  };
}

function scaled(samples: Float32Array, factor: number): Float32Array {
  return factor === 1 ? samples : samples.map((sample) => sample * factor);
}
