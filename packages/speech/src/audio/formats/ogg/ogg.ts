/** @file The Ogg format: Opus, Vorbis and FLAC. */

import { audioInvalid, type ByteCursor } from '../../byteCursor.ts';
import { DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { openFlac, streamInfo, type FlacFrame, flacFrameSamples } from '../flac/flac.ts';
import { type AudioFormat, cutPieces, type OpenAudio, optionalPackage } from '../audioFormat.ts';
import { oggPackets, oggPages } from './oggPages.ts';
import { openOpus } from './opus.ts';

const MAX_CHANNELS = 8;

/**
 * Opens Ogg Vorbis, given the first packet `head`; `bytes` is at the first page.
 * @throws OnnxLoraError `DATA_INVALID` for an invalid header, or if the decoder is not installed
 * @see https://xiph.org/vorbis/doc/Vorbis_I_spec.html section 4.2.2
 */
async function openVorbis(bytes: ByteCursor, head: Uint8Array): Promise<OpenAudio> {
  const { OggVorbisDecoder } = await optionalPackage(
    bytes,
    'Vorbis',
    '@wasm-audio-decoders/ogg-vorbis',
    () => import('@wasm-audio-decoders/ogg-vorbis'),
  );
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const shape =
    head.length < 30 ? { channels: 0, sampleRate: 0 } : { channels: head[11]!, sampleRate: view.getUint32(12, true) };
  if (shape.channels < 1 || shape.channels > MAX_CHANNELS || shape.sampleRate < 1) {
    throw audioInvalid(
      bytes,
      `is Vorbis of ${shape.channels} channels at ${shape.sampleRate} Hz, unsupported here. ${DAMAGED}`,
    );
  }
  return {
    ...shape,
    async *pieces(start, end) {
      let first: number | undefined;
      let last = 0;
      const pages = async function* (): AsyncGenerator<Uint8Array> {
        for await (const page of oggPages(bytes)) {
          if (page.granule !== undefined && page.granule > 0) {
            first ??= page.granule;
            last = page.granule;
          }
          yield page.bytes;
        }
      };
      let frames = 0;
      const decoded = decodeChunks(bytes, new OggVorbisDecoder(), pages(), shape);
      const counted = async function* (): AsyncGenerator<readonly Float32Array[]> {
        for await (const piece of decoded) {
          frames += piece[0]!.length;
          yield piece;
        }
        // A recorded broadcast does not count from 0, so its first page says nothing.
        if (frames < last - (first ?? 0)) {
          throw audioInvalid(bytes, `is damaged: ${last} samples are announced, but ${frames} came. ${DAMAGED}`);
        }
      };
      yield* cutPieces(counted(), start, end);
    },
  };
}

/** Most bytes of a stream's first page, which holds one packet. */
const FIRST_PAGE = 28 + 255;

const openers: Readonly<Record<string, (bytes: ByteCursor, head: Uint8Array) => Promise<OpenAudio>>> = {
  OpusHead: openOpus,
  '\x01vorbis': openVorbis,
  '\x7fFLAC': openOggFlac,
};

export const ogg: AudioFormat = {
  name: 'Ogg',
  fileEndings: ['.ogg', '.oga', '.opus'],
  recognises: (head) => Buffer.from(head.subarray(0, 4)).toString('latin1') === 'OggS',
  async open(bytes): Promise<OpenAudio> {
    const page = await bytes.peek(FIRST_PAGE);
    const segments = page[26] ?? 0;
    const length = page.subarray(27, 27 + segments).reduce((sum, each) => sum + each, 0);
    const head = page.subarray(27 + segments, 27 + segments + length);
    const name = Object.keys(openers).find((each) =>
      Buffer.from(head.subarray(0, 8)).toString('latin1').startsWith(each),
    );
    if (name !== undefined) return openers[name]!(bytes, head);
    throw audioInvalid(
      bytes,
      'is an Ogg file that does not begin with Opus, Vorbis or FLAC. Convert it, for example with "ffmpeg -i INPUT OUTPUT.wav".',
    );
  },
};

/** Bytes of FLAC's mapping header and block header, before STREAMINFO. */
const FLAC_HEAD = 17;

function openOggFlac(bytes: ByteCursor, head: Uint8Array): Promise<OpenAudio> {
  return openFlac(bytes, streamInfo(bytes, head.subarray(FLAC_HEAD)), () => oggFlacFrames(bytes));
}

/** The packets after the header, one frame each. */
async function* oggFlacFrames(bytes: ByteCursor): AsyncGenerator<FlacFrame> {
  for await (const { packets } of oggPackets(bytes, oggPages(bytes))) {
    for (const packet of packets) {
      const samples = flacFrameSamples(packet);
      if (samples !== undefined) yield { bytes: packet, samples };
      else if (packet[0] === 0xff) throw audioInvalid(bytes, `is damaged: a packet is no frame of FLAC. ${DAMAGED}`);
    }
  }
}
