/** @file Finds boxes in an MP4 file. */

/** What is in a box, without its header. */
interface Box {
  readonly type: string;
  readonly body: Uint8Array;
}

/**
 * The boxes in `bytes`, up to one that is longer than what there is.
 *
 * @see https://www.iso.org/standard/83102.html ISO/IEC 14496-12, 4.2
 */
function* boxesIn(bytes: Uint8Array): Generator<Box> {
  for (let at = 0; at + 8 <= bytes.length;) {
    const view = viewOf(bytes.subarray(at));
    const short = view.getUint32(0);
    const header = short === 1 ? 16 : 8;
    if (at + header > bytes.length) return;
    // 0 goes to the end; 1 says that 64 bits follow.
    const length = short === 0 ? bytes.length - at : short === 1 ? Number(view.getBigUint64(8)) : short;
    if (length < header || at + length > bytes.length) return;
    const type = Buffer.from(bytes.subarray(at + 4, at + 8)).toString('latin1');
    yield { type, body: bytes.subarray(at + header, at + length) };
    at += length;
  }
}

/** The body of the first box that `path` leads to, from outside to inside. */
export function boxAt(bytes: Uint8Array, ...path: readonly string[]): Uint8Array | undefined {
  let body: Uint8Array | undefined = bytes;
  for (const type of path) body = body && firstBox(body, (box) => box.type === type)?.body;
  return body;
}

/** The first box that is wanted; those before it, of which a stranger's file may have millions, are not kept. */
export function firstBox(bytes: Uint8Array, isWanted: (box: Box) => boolean): Box | undefined {
  for (const box of boxesIn(bytes)) if (isWanted(box)) return box;
  return undefined;
}

/** The same bytes as numbers. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
