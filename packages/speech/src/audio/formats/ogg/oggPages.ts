/** @file Ogg pages and their packets. */

import { type ByteCursor, audioInvalid } from '../../byteCursor.ts';
import { DAMAGED } from '../decodeChunks.ts';

const POLYNOMIAL = 0x04c1_1db7;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc;
});

/** CRC of a page, with its own field (bytes 22 to 25) as 0. */
export function pageCrc(bytes: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= 22 && i < 26 ? 0 : bytes[i]!;
    crc = (crc << 8) ^ table[(crc >>> 24) ^ byte]!;
  }
  return crc >>> 0;
}

interface OggPage {
  readonly bytes: Uint8Array;
  /** The codec's sample position at its end; undefined if no packet ends in it. */
  readonly granule: number | undefined;
  /** True if its first piece continues a packet of the previous page. */
  readonly isContinued: boolean;
  readonly isLast: boolean;
  /** Whole packets; the last one continues on the next page if `isOpen`. */
  readonly packets: readonly Uint8Array[];
  readonly isOpen: boolean;
}

const HEADER = 27;
const MOST_SEGMENTS = 255;

/**
 * The pages from `bytes` to the stream's last one.
 * @throws OnnxLoraError `DATA_INVALID` for a wrong checksum, a missing or truncated page, or a second stream
 * @see https://www.rfc-editor.org/rfc/rfc3533.html section 6
 */
export async function* oggPages(bytes: ByteCursor): AsyncGenerator<OggPage> {
  let serial: number | undefined;
  for (let number = 0; ; number++) {
    const head = await bytes.peek(HEADER + MOST_SEGMENTS);
    if (head.length === 0) throw cutShort(bytes, number);
    if (!isPage(head)) {
      throw audioInvalid(bytes, `is damaged: what follows page ${number} is no page. ${DAMAGED}`);
    }
    const segments = head.subarray(HEADER, HEADER + (head[26] ?? 0));
    const length = HEADER + segments.length + segments.reduce((sum, each) => sum + each, 0);
    const page = await bytes.take(length);
    if (head.length < HEADER || page.length < length) throw cutShort(bytes, number);
    const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    if (view.getUint32(22, true) !== pageCrc(page)) {
      throw audioInvalid(bytes, `is damaged in page ${number + 1}: its checksum is wrong. ${DAMAGED}`);
    }
    serial ??= view.getUint32(14, true);
    if (view.getUint32(14, true) !== serial) throw severalStreams(bytes);
    if (view.getUint32(18, true) !== number)
      throw audioInvalid(bytes, `is damaged: page ${number + 1} is missing. ${DAMAGED}`);
    const granule = view.getBigInt64(6, true);
    const isLast = (page[5]! & 4) !== 0;
    yield {
      bytes: page,
      granule: granule < 0n ? undefined : Number(granule),
      isContinued: (page[5]! & 1) !== 0,
      isLast,
      packets: packetsOf(page, segments),
      isOpen: segments.at(-1) === 255,
    };
    if (!isLast) continue;
    // A file may chain several streams; reading the first alone would silently lose the others.
    if (isPage(await bytes.peek(4))) throw severalStreams(bytes);
    return;
  }
}

function isPage(head: Uint8Array): boolean {
  return Buffer.from(head.subarray(0, 4)).toString('latin1') === 'OggS';
}

function severalStreams(bytes: ByteCursor): Error {
  return audioInvalid(
    bytes,
    'holds more than one stream. Take one out of it, for example with "ffmpeg -i INPUT OUTPUT.wav".',
  );
}

/** A segment of less than 255 bytes ends a packet. */
function packetsOf(page: Uint8Array, segments: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  let from = HEADER + segments.length;
  let to = from;
  for (const [i, segment] of segments.entries()) {
    to += segment;
    if (segment === 255 && i < segments.length - 1) continue;
    packets.push(page.subarray(from, to));
    from = to;
  }
  return packets;
}

function cutShort(bytes: ByteCursor, pages: number): Error {
  return audioInvalid(
    bytes,
    `is cut short after ${pages} whole pages: the last one of the stream is missing. ${DAMAGED}`,
  );
}

export interface PagePackets {
  readonly packets: readonly Uint8Array[];
  readonly granule: number | undefined;
  readonly isLast: boolean;
}

const MOST_BYTES = 2 ** 20;

/** @throws OnnxLoraError `DATA_INVALID` for a packet without a beginning or end, or above the size limit */
export async function* oggPackets(bytes: ByteCursor, pages: AsyncIterable<OggPage>): AsyncGenerator<PagePackets> {
  let open: Uint8Array | undefined;
  for await (const { packets, granule, isContinued, isLast, isOpen } of pages) {
    if (isContinued !== (open !== undefined)) {
      throw audioInvalid(bytes, `is damaged: a packet has lost its beginning or its end. ${DAMAGED}`);
    }
    const whole = [...packets];
    if (open && whole.length > 0) whole[0] = Buffer.concat([open, whole[0]!]);
    open = isOpen ? whole.pop() : undefined;
    if (open && open.length > MOST_BYTES) {
      throw audioInvalid(bytes, `is damaged: a packet is longer than ${MOST_BYTES} bytes. ${DAMAGED}`);
    }
    yield { packets: whole, granule, isLast };
  }
  if (open) throw audioInvalid(bytes, `is cut short in its last packet. ${DAMAGED}`);
}
