/** @file MP4 boxes, and the packet offsets in their tables. */

interface Box {
  readonly type: string;
  readonly body: Uint8Array;
}

/** The boxes in `bytes`, up to a truncated one. @see https://www.iso.org/standard/83102.html ISO/IEC 14496-12, 4.2 */
function* boxesIn(bytes: Uint8Array): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    const view = viewOf(bytes.subarray(at));
    const short = view.getUint32(0);
    const header = short === 1 ? 16 : 8;
    if (at + header > bytes.length) return;
    // 0 extends to the end; 1 announces 64 bits.
    const length = short === 0 ? bytes.length - at : short === 1 ? Number(view.getBigUint64(8)) : short;
    if (length < header || at + length > bytes.length) return;
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    yield { type, body: bytes.subarray(at + header, at + length) };
    at += length;
  }
}

/** The body of the first box at `path`, outermost name first. */
export function boxAt(bytes: Uint8Array, ...path: readonly string[]): Uint8Array | undefined {
  let body: Uint8Array | undefined = bytes;
  for (const type of path) body = body && firstBox(body, (box) => box.type === type)?.body;
  return body;
}

/** The first wanted box. A stream, since an untrusted file may have millions of boxes. */
export function firstBox(bytes: Uint8Array, isWanted: (box: Box) => boolean): Box | undefined {
  for (const box of boxesIn(bytes)) if (isWanted(box)) return box;
  return undefined;
}

/** A DataView of the same bytes. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

type PacketPlace = readonly [at: number, length: number];

/** A day at 48 kHz. An untrusted table may claim a packet for each byte of the file, at a hundred times the memory. */
const MOST_PACKETS = 2 ** 22;

/** Packet offsets from the tables of `stbl`. @throws RangeError if tables contradict each other or the file's `size` */
export function packetPlaces(stbl: Uint8Array, size: number): PacketPlace[] {
  const lengths = packetLengths(table(stbl, 'stsz'), size);
  const chunks = chunkPlaces(stbl);
  const runs = viewOf(table(stbl, 'stsc'));
  const count = entries(runs, 4, 12);
  const places: PacketPlace[] = [];
  let run = -1;
  for (let chunk = 0; chunk < chunks.length && places.length < lengths.length; chunk++) {
    // Each run gives the packets per chunk from a chunk on, counted from 1.
    while (run + 1 < count && runs.getUint32(8 + 12 * (run + 1)) <= chunk + 1) run++;
    if (run < 0) throw new RangeError('its first chunk is missing');
    const last = Math.min(lengths.length, places.length + runs.getUint32(12 + 12 * run));
    for (let at = chunks[chunk]!; places.length < last;) {
      const length = lengths[places.length]!;
      if (at + length > size) throw new RangeError(`packet ${places.length + 1} is beyond its end`);
      places.push([at, length]);
      at += length;
    }
  }
  if (places.length < lengths.length)
    throw new RangeError(`only ${places.length} of ${lengths.length} packets are there`);
  return places;
}

/** Number of packets and their total duration in units of the track. */
export function packetTimes(stbl: Uint8Array): { count: number; duration: number } {
  const times = viewOf(table(stbl, 'stts'));
  let [count, duration] = [0, 0];
  for (let i = 0; i < entries(times, 4, 8); i++) {
    count += times.getUint32(8 + 8 * i);
    duration += times.getUint32(8 + 8 * i) * times.getUint32(12 + 8 * i);
  }
  return { count, duration };
}

function packetLengths(stsz: Uint8Array, size: number): Uint32Array {
  const view = viewOf(stsz);
  const [same, count] = [view.getUint32(4), view.getUint32(8)];
  if (count > MOST_PACKETS)
    throw new RangeError(`${count} packets are announced, and at most ${MOST_PACKETS} are read`);
  if (same === 0) {
    return Uint32Array.from({ length: entries(view, 8, 4) }, (_, i) => view.getUint32(12 + 4 * i));
  }
  if (same * count > size) throw new RangeError(`${count} packets of ${same} bytes are announced`);
  return new Uint32Array(count).fill(same);
}

function chunkPlaces(stbl: Uint8Array): number[] {
  const wide = boxAt(stbl, 'co64');
  const view = viewOf(wide ?? table(stbl, 'stco'));
  return Array.from({ length: entries(view, 4, wide ? 8 : 4) }, (_, i) =>
    wide ? Number(view.getBigUint64(8 + 8 * i)) : view.getUint32(8 + 4 * i),
  );
}

function table(stbl: Uint8Array, name: string): Uint8Array {
  const body = boxAt(stbl, name);
  if (!body) throw new RangeError(`it has no table "${name}"`);
  return body;
}

/** Number of entries of `bytes` bytes in a table with its count at `at`. */
function entries(view: DataView, at: number, bytes: number): number {
  const count = view.getUint32(at);
  if (at + 4 + count * bytes > view.byteLength) throw new RangeError(`a table of ${count} entries does not fit`);
  return count;
}
