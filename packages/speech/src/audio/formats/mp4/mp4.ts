/** @file MP4 files (M4A) with AAC, decoded with node-web-audio-api; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { type AacTrack, aacTrack, PACKET_SAMPLES } from './aacTrack.ts';

/** Packets that are decoded at a time: one to six seconds. */
const PACKETS = 48;
/** Packets before those that are decoded too: each overlaps with the one before. */
const OVERLAP = 2;

/** What is used of the Web Audio API. The package's own types would bring all those of a browser. */
interface WebAudio {
  readonly OfflineAudioContext: new (channels: number, length: number, sampleRate: number) => OfflineContext;
}

interface OfflineContext {
  decodeAudioData(bytes: ArrayBuffer): Promise<{
    readonly sampleRate: number;
    readonly numberOfChannels: number;
    readonly length: number;
    getChannelData(channel: number): Float32Array;
  }>;
}

/** AAC-LC of one or two channels in MP4, as telephones record it. */
export const mp4: AudioFormat = {
  name: 'MP4',
  fileEndings: ['.m4a', '.mp4'],
  recognises: (head) => Buffer.from(head.subarray(4, 8)).toString('latin1') === 'ftyp',
  async open(bytes): Promise<OpenAudio> {
    const name: string = 'node-web-audio-api';
    const { OfflineAudioContext } = await optionalPackage(
      bytes,
      'AAC',
      name,
      async () => (await import(name)) as WebAudio,
    );
    const track = await aacTrack(bytes);
    const { sampleRate, channels, frames } = track;
    return {
      sampleRate,
      channels,
      frames,
      async *pieces(start, end) {
        const decoder = chunkDecoder(new OfflineAudioContext(1, 1, sampleRate));
        // Chunks begin at the same packets whatever the span: a decoder draws noise anew for each.
        const first = Math.floor((track.before + start) / PACKET_SAMPLES);
        const skipped = first - (first % PACKETS);
        const offset = track.before - skipped * PACKET_SAMPLES;
        const decoded = decodeChunks(bytes, decoder, chunks(track, skipped), track);
        let count = 0;
        for await (const piece of cutPieces(decoded, offset + start, offset + Math.min(end, frames))) {
          count += piece[0]!.length;
          yield piece;
        }
        if (count < Math.min(end, frames) - start) throw cutShort(bytes, frames);
      },
    };
  },
};

function cutShort(bytes: ByteCursor, frames: number): Error {
  return audioInvalid(bytes, `is cut short: not all of ${frames} samples that are announced came. ${DAMAGED}`);
}

interface Chunk {
  readonly bytes: Uint8Array;
  readonly packets: number;
  /** Packets at its beginning whose samples came before. */
  readonly overlap: number;
}

/** The packets from number `skipped` on, each chunk with some that came before. */
async function* chunks(track: AacTrack, skipped: number): AsyncGenerator<Chunk> {
  for (let at = skipped; at < track.packets.length; at += PACKETS) {
    const overlap = Math.min(OVERLAP, at);
    const packets = track.packets.slice(at - overlap, at + PACKETS);
    yield { bytes: Buffer.concat(packets.map((packet) => adts(packet, track))), packets: packets.length, overlap };
  }
}

/** A packet with the header that lets it stand alone. */
function adts(packet: Uint8Array, { rateIndex, channels }: AacTrack): Uint8Array {
  const length = packet.length + 7;
  const header = [
    0xff,
    0xf1,
    0x40 | (rateIndex << 2),
    (channels << 6) | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  ];
  const bytes = new Uint8Array(length);
  bytes.set(header);
  bytes.set(packet, header.length);
  return bytes;
}

function chunkDecoder(context: OfflineContext): ChunkDecoder<Chunk> {
  return {
    ready: Promise.resolve(),
    async decode({ bytes, packets, overlap }) {
      // The copy is the library's to keep.
      const audio = await context.decodeAudioData(Uint8Array.from(bytes).buffer);
      const isWhole = audio.length === packets * PACKET_SAMPLES;
      const from = overlap * PACKET_SAMPLES;
      return {
        channelData: Array.from({ length: audio.numberOfChannels }, (_, c) => audio.getChannelData(c).slice(from)),
        samplesDecoded: Math.max(0, audio.length - from),
        sampleRate: audio.sampleRate,
        errors: isWhole ? [] : [{ message: `${audio.length} samples of ${packets} packets` }],
      };
    },
    free: () => undefined,
  };
}
