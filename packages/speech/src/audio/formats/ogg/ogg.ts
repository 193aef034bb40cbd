/** @file Ogg files, whatever is in them. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import { openFlac, streamInfo } from '../flac/flac.ts';
import { type FlacFrame, flacFrameSamples } from '../flac/flacFrames.ts';
import type { OpenAudio, AudioFormat } from '../audioFormat.ts';
import { oggPackets, oggPages } from './oggPages.ts';
import { openOpus } from './opus.ts';
import { openVorbis } from './vorbis.ts';

/** The first page of a stream holds its first packet alone, and is no longer than this. */
const FIRST_PAGE = 28 + 255;

const openers: Readonly<Record<string, (bytes: ByteCursor, head: Uint8Array) => Promise<OpenAudio>>> = {
  OpusHead: openOpus,
  '\x01vorbis': openVorbis,
  '\x7fFLAC': openOggFlac,
};

/** Ogg with Opus, Vorbis or FLAC. */
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

/** The header of FLAC's mapping, and of the block in it, before STREAMINFO. */
const FLAC_HEAD = 17;

function openOggFlac(bytes: ByteCursor, head: Uint8Array): Promise<OpenAudio> {
  return openFlac(bytes, streamInfo(bytes, head.subarray(FLAC_HEAD)), () => oggFlacFrames(bytes));
}

/** Every packet after those of the header is a frame. */
async function* oggFlacFrames(bytes: ByteCursor): AsyncGenerator<FlacFrame> {
  for await (const { packets } of oggPackets(bytes, oggPages(bytes))) {
    for (const packet of packets) {
      const samples = flacFrameSamples(packet);
      if (samples !== undefined) yield { bytes: packet, samples };
      else if (packet[0] === 0xff) throw audioInvalid(bytes, `is damaged: a packet is no frame of FLAC. ${DAMAGED}`);
    }
  }
}
