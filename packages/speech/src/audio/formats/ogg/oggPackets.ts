/** @file Puts packets together that go over several pages of an Ogg file. */

import { type ByteCursor, soundInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';
import type { OggPage } from './oggPages.ts';

/** The packets that end in one page. */
export interface PagePackets {
  readonly packets: readonly Uint8Array[];
  readonly granule: number | undefined;
  readonly isLast: boolean;
}

/** No packet of sound is longer. */
const MOST_BYTES = 2 ** 20;

/** @throws OnnxLoraError `DATA_INVALID` where a packet has no beginning, no end, or is longer than any should be */
export async function* oggPackets(bytes: ByteCursor, pages: AsyncIterable<OggPage>): AsyncGenerator<PagePackets> {
  let open: Uint8Array | undefined;
  for await (const { packets, granule, isContinued, isLast, isOpen } of pages) {
    if (isContinued !== (open !== undefined)) {
      throw soundInvalid(bytes, `is damaged: a packet has lost its beginning or its end. ${DAMAGED}`);
    }
    const whole = [...packets];
    if (open && whole.length > 0) whole[0] = Buffer.concat([open, whole[0]!]);
    open = isOpen ? whole.pop() : undefined;
    if (open && open.length > MOST_BYTES) {
      throw soundInvalid(bytes, `is damaged: a packet is longer than ${MOST_BYTES} bytes. ${DAMAGED}`);
    }
    yield { packets: whole, granule, isLast };
  }
  if (open) throw soundInvalid(bytes, `is cut short in its last packet. ${DAMAGED}`);
}
