/** @file Pieces of a sound as one. */

/**
 * The pieces behind each other, one array per channel.
 *
 * @param frames samples per channel of all pieces together
 */
export function joinPieces(pieces: readonly (readonly Float32Array[])[], frames: number): readonly Float32Array[] {
  const [first = []] = pieces;
  if (pieces.length === 1) return first;
  return first.map((_, channel) => {
    const joined = new Float32Array(frames);
    let at = 0;
    for (const piece of pieces) {
      joined.set(piece[channel]!, at);
      at += piece[channel]!.length;
    }
    return joined;
  });
}
