/** @file Decodes MP3 files with mpg123-decoder; the only file that imports it. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { cutPieces, type OpenAudio, optionalPackage, type AudioFormat, withoutLast } from '../audioFormat.ts';
import { type ChunkDecoder, DAMAGED, decodeChunks } from '../decodeChunks.ts';
import { mpegFrames, type MpegHeader, mpegHeader, skipTags } from './mpegFrames.ts';

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
    throw audioInvalid(bytes, `is cut short: ${tag.frames} frames are announced, but only ${count} came. ${DAMAGED}`);
  }
}

/** The first frame of most files holds no sound but this. */
interface EncoderTag {
  /** Frames of sound that follow. */
  readonly frames?: number;
  /** Samples that the encoder added before the sound, and after it. */
  readonly delay: number;
  readonly padding: number;
}

/**
 * The tag in a frame; undefined where it is a frame of sound.
 *
 * @see http://gabriel.mp3-tech.org/mp3infotag.html
 */
function encoderTag(frame: Uint8Array, { tagAt }: MpegHeader): EncoderTag | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const text = (at: number, length: number): string => Buffer.from(frame.subarray(at, at + length)).toString('latin1');
  // Fraunhofer's tag has a place of its own; it tells nothing that is needed here.
  if (text(36, 4) === 'VBRI') return { delay: 0, padding: 0 };
  if (!['Xing', 'Info'].includes(text(tagAt, 4)) || frame.length < tagAt + 8) return undefined;
  const flags = view.getUint32(tagAt + 4);
  // Each flag says that a field is there: frames, bytes, a table of contents, the quality.
  const sizes = [4, 4, 100, 4].map((size, bit) => (flags & (1 << bit) ? size : 0));
  const frames = flags & 1 && frame.length >= tagAt + 12 ? view.getUint32(tagAt + 8) : undefined;
  const lame = tagAt + 8 + sizes.reduce((sum, size) => sum + size, 0);
  const isThere = frame.length >= lame + 24 && /^[A-Z][a-zA-Z]{3}/.test(text(lame, 4));
  const gaps = isThere ? view.getUint32(lame + 20) & 0xff_ffff : 0;
  return { ...(frames !== undefined && { frames }), delay: gaps >> 12, padding: gaps & 0xfff };
}
