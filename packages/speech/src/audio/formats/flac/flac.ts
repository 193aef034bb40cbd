/** @file FLAC files. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import type { OpenSound, SoundFormat } from '../soundFormat.ts';
import { openFlac } from './decodeFlac.ts';
import { flacFrames } from './flacFrames.ts';
import { STREAM_INFO_BYTES, streamInfo } from './streamInfo.ts';

/** FLAC of 4 to 32 bits and 1 to 8 channels. */
export const flac: SoundFormat = {
  name: 'FLAC',
  fileEndings: ['.flac'],
  recognises: (head) => Buffer.from(head.subarray(0, 4)).toString('latin1') === 'fLaC',
  async open(bytes): Promise<OpenSound> {
    const head = await bytes.peek(8 + STREAM_INFO_BYTES);
    if ((head[4]! & 0x7f) !== 0) throw soundInvalid(bytes, `does not begin with a STREAMINFO block. ${DAMAGED}`);
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
    if (head.length < 4) throw soundInvalid(bytes, `is cut short in its header. ${DAMAGED}`);
    await bytes.skip(head[1]! * 65_536 + head[2]! * 256 + head[3]!);
    if (head[0]! & 0x80) return;
  }
}
