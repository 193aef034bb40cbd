/** @file Decodes MP3 files with mpg123-decoder; the only file that imports it. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { cutPieces, withoutLast } from '../cutPieces.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { optionalPackage } from '../optionalPackage.ts';
import type { OpenSound, SoundFormat } from '../soundFormat.ts';
import { type EncoderTag, encoderTag } from './encoderTag.ts';
import { mpegFrames, skipTags } from './mpegFrames.ts';
import { type MpegHeader, mpegHeader } from './mpegHeader.ts';

/** A decoder gives its first sample this much later than the encoder's delay says. */
const DECODER_DELAY = 529;
/** So many frames before a span are decoded too, for a frame builds on the bits and the samples of those before it. */
const LEAD_IN = 40;
/** Frames after which the decoder adds its sums in the same order again; so that a span has the very bits of the whole. */
const PERIOD = 8;
/** Frames that are decoded at a time: a quarter to half of a second. */
const FRAMES = 16;

/**
 * MP3 (MPEG 1, 2 and 2.5, layer III) of constant or variable bit rate. What the encoder put before and after the sound is cut off
 * where its tag tells, so that a file is as long as the recording it was made of.
 */
export const mp3: SoundFormat = {
  name: 'MP3',
  fileEndings: ['.mp3'],
  recognises: (head) => Buffer.from(head.subarray(0, 3)).toString('latin1') === 'ID3' || mpegHeader(head) !== undefined,
  async open(bytes): Promise<OpenSound> {
    const { MPEGDecoder } = await optionalPackage(bytes, 'MP3', 'mpg123-decoder', () => import('mpg123-decoder'));
    await skipTags(bytes);
    const header = mpegHeader(await bytes.peek(4));
    if (!header) throw soundInvalid(bytes, `is no MP3 file behind its tag. ${DAMAGED}`);
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
        // The tags and the delay are dealt with here.
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

/** The frames from number `skipped` on, several together. */
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
    throw soundInvalid(bytes, `is cut short: ${tag.frames} frames are announced, but only ${count} came. ${DAMAGED}`);
  }
}
