/** @file Takes an MP3 file apart into its frames, and finds where it is damaged: decoders would only leave a gap. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import { type MpegHeader, mpegHeader } from './mpegHeader.ts';

/** Tags of this many bytes at most are stepped over at a time; 256 MiB is what ID3 can say. */
const TAG_HEAD = 32;

/**
 * The frames from where `bytes` stands to the end. Tags (ID3, APE) and zeros between them are stepped over.
 *
 * @throws OnnxLoraError `DATA_INVALID` where anything else is between two frames, the last one is cut short, or rate or number
 * of channels change
 */
export async function* mpegFrames(bytes: ByteCursor, first: MpegHeader): AsyncGenerator<Uint8Array> {
  for (let number = 1; ; number++) {
    await skipTags(bytes);
    const head = await bytes.peek(4);
    if (head.length === 0) return;
    const header = mpegHeader(head);
    if (!header) throw soundInvalid(bytes, `is damaged: what follows frame ${number - 1} is no frame. ${DAMAGED}`);
    if (header.sampleRate !== first.sampleRate || header.channels !== first.channels) {
      throw soundInvalid(bytes, `changes its rate or number of channels at frame ${number}. ${DAMAGED}`);
    }
    const frame = await bytes.take(header.length);
    if (frame.length < header.length) throw soundInvalid(bytes, `is cut short in frame ${number}. ${DAMAGED}`);
    yield frame;
  }
}

/** Steps over what players step over too. */
export async function skipTags(bytes: ByteCursor): Promise<void> {
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
    // Seven bits a byte; a footer of ten more bytes if the flag says so.
    const size = head.subarray(6, 10).reduce((sum, byte) => sum * 128 + (byte & 0x7f), 0);
    return 10 + size + (head[5]! & 0x10 ? 10 : 0);
  }
  if (text.startsWith('TAG')) return 128;
  if (text === 'APETAGEX' && head.length === TAG_HEAD) {
    const view = new DataView(head.buffer, head.byteOffset);
    const isHeader = (view.getUint32(20, true) & 0x2000_0000) !== 0;
    // The size counts the items and the footer; a footer without a header is all there is left of the tag.
    return 32 + (isHeader ? view.getUint32(12, true) : 0);
  }
  return undefined;
}

function leadingZeros(head: Uint8Array): number {
  const at = head.findIndex((byte) => byte !== 0);
  return at < 0 ? head.length : at;
}
