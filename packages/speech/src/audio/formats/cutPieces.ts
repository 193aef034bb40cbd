/** @file Cuts samples off a sound that comes in pieces. */

/** Samples number `start` up to, not including, `end` of what `pieces` give; nothing after them is asked for. */
export async function* cutPieces(
  pieces: AsyncIterable<readonly Float32Array[]> | Iterable<readonly Float32Array[]>,
  start: number,
  end: number,
): AsyncGenerator<readonly Float32Array[]> {
  let at = 0;
  for await (const piece of pieces) {
    const length = piece[0]?.length ?? 0;
    const [from, to] = [Math.max(0, start - at), Math.min(length, end - at)];
    if (from < to) yield piece.map((channel) => channel.subarray(from, to));
    at += length;
    if (at >= end) return;
  }
}

/** All but the last `count` samples. */
export async function* withoutLast(
  pieces: AsyncIterable<readonly Float32Array[]>,
  count: number,
): AsyncGenerator<readonly Float32Array[]> {
  const held: (readonly Float32Array[])[] = [];
  let frames = 0;
  for await (const piece of pieces) {
    held.push(piece);
    frames += piece[0]?.length ?? 0;
    // Whole pieces go out as soon as enough is held behind them.
    for (let [first] = held; first && frames - first[0]!.length >= count; [first] = held) {
      frames -= first[0]!.length;
      held.shift();
      yield first;
    }
  }
  const [first] = held;
  if (first && frames > count) yield first.map((channel) => channel.subarray(0, frames - count));
}
