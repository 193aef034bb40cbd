/** @file Minimum edit distance between sequences, with alignment. */

/** Counts of edits. */
export interface EditCounts {
  /** Equal pieces. */
  readonly hits: number;
  /** Replaced pieces. */
  readonly substitutions: number;
  /** Pieces missing from the hypothesis. */
  readonly deletions: number;
  /** Pieces missing from the reference. */
  readonly insertions: number;
}

/** An aligned piece. Hits and substitutions have both sides, deletions `reference`, insertions `hypothesis`. */
export interface AlignedPiece {
  /** The edit. */
  readonly kind: 'hit' | 'substitution' | 'deletion' | 'insertion';
  /** Piece of the reference. */
  readonly reference?: string;
  /** Piece of the hypothesis. */
  readonly hypothesis?: string;
}

/** Counts edits in linear memory, as rapidfuzz and jiwer: from the end, deletions come before insertions. */
export function countEdits(reference: readonly string[], hypothesis: readonly string[]): EditCounts {
  const { from, to, head, tail } = differing(reference, hypothesis);
  const table = new EditRows(from, to);
  // Hits up to each position of the row.
  let hits = new Int32Array(to.length + 1);
  let above = new Int32Array(to.length + 1);
  for (let i = 1; i <= from.length; i++) {
    [above, hits] = [hits, above];
    hits[0] = 0;
    const moves = table.next();
    for (let j = 1; j < hits.length; j++) {
      const move = moves[j];
      if (move === deletion) hits[j] = above[j]!;
      else if (move === insertion) hits[j] = hits[j - 1]!;
      else hits[j] = above[j - 1]! + (move === hit ? 1 : 0);
    }
  }
  const found = hits[to.length]!;
  const substitutions = from.length + to.length - 2 * found - table.distance;
  return {
    hits: found + head + tail,
    substitutions,
    deletions: from.length - found - substitutions,
    insertions: to.length - found - substitutions,
  };
}

/**
 * Aligns two sequences with the fewest edits.
 * @param mostBytes memory limit, at a byte per pair of pieces. Longer sequences are divided where the optimal alignment
 *   crosses the middle of the reference (Hirschberg 1975), which takes twice the time
 */
export function align(
  reference: readonly string[],
  hypothesis: readonly string[],
  mostBytes: number = 2 ** 26,
): AlignedPiece[] {
  const { from, to, head, tail } = differing(reference, hypothesis);
  const width = to.length + 1;
  if (from.length > 1 && (from.length + 1) * width > mostBytes) {
    const middle = from.length >> 1;
    const [i, j] = [head + middle, head + placeAt(middle, from, to)];
    return [
      ...align(reference.slice(0, i), hypothesis.slice(0, j), mostBytes),
      ...align(reference.slice(i), hypothesis.slice(j), mostBytes),
    ];
  }
  const table = new EditRows(from, to);
  const moves = new Uint8Array((from.length + 1) * width);
  for (let i = 1; i <= from.length; i++) moves.set(table.next(), i * width);
  const pieces: AlignedPiece[] = reference
    .slice(reference.length - tail)
    .map((piece) => ({ kind: 'hit', reference: piece, hypothesis: piece }) as const)
    .reverse();
  for (let i = from.length, j = to.length; i > 0 || j > 0;) {
    const move = i === 0 ? insertion : j === 0 ? deletion : moves[i * width + j]!;
    if (move !== insertion) i--;
    if (move !== deletion) j--;
    pieces.push({
      kind: kinds[move]!,
      ...(move === insertion ? {} : { reference: reference[head + i]! }),
      ...(move === deletion ? {} : { hypothesis: hypothesis[head + j]! }),
    });
  }
  for (let i = head - 1; i >= 0; i--) {
    pieces.push({ kind: 'hit', reference: reference[i]!, hypothesis: hypothesis[i]! });
  }
  return pieces.reverse();
}

/** Position in the second sequence where the optimal alignment passes `middle` of the first. */
function placeAt(middle: number, from: Int32Array, to: Int32Array): number {
  const table = new EditRows(from, to);
  let places = Int32Array.from({ length: to.length + 1 }, (_, j) => j);
  let above = places.slice();
  for (let i = 1; i <= from.length; i++) {
    const moves = table.next();
    if (i <= middle) continue;
    [above, places] = [places, above];
    places[0] = 0;
    for (let j = 1; j < places.length; j++) {
      const move = moves[j];
      places[j] = move === deletion ? above[j]! : move === insertion ? places[j - 1]! : above[j - 1]!;
    }
  }
  return places[to.length]!;
}

const kinds: readonly AlignedPiece['kind'][] = ['hit', 'substitution', 'deletion', 'insertion'];
const [hit, substitution, deletion, insertion] = [0, 1, 2, 3] as const;

/** Both sequences as numbers, without their common prefix and suffix. */
function differing(
  reference: readonly string[],
  hypothesis: readonly string[],
): { from: Int32Array; to: Int32Array; head: number; tail: number } {
  const numbers = new Map<string, number>();
  const number = (piece: string): number => {
    const known = numbers.get(piece) ?? numbers.size;
    if (known === numbers.size) numbers.set(piece, known);
    return known;
  };
  const from = Int32Array.from(reference, number);
  const to = Int32Array.from(hypothesis, number);
  const shorter = Math.min(from.length, to.length);
  let head = 0;
  while (head < shorter && from[head] === to[head]) head++;
  let tail = 0;
  while (tail < shorter - head && from[from.length - 1 - tail] === to[to.length - 1 - tail]) tail++;
  return { from: from.subarray(head, from.length - tail), to: to.subarray(head, to.length - tail), head, tail };
}

class EditRows {
  readonly #from: Int32Array;
  readonly #to: Int32Array;
  #row: Int32Array;
  #above: Int32Array;
  readonly #moves: Uint8Array;
  #index = 0;

  constructor(from: Int32Array, to: Int32Array) {
    this.#from = from;
    this.#to = to;
    this.#row = Int32Array.from({ length: to.length + 1 }, (_, j) => j);
    this.#above = new Int32Array(to.length + 1);
    this.#moves = new Uint8Array(to.length + 1);
  }

  /** Distance between the first sequence so far and the second. */
  get distance(): number {
    return this.#row[this.#to.length]!;
  }

  /** Advances in the first sequence. Returns the edit that leads to each position of the second, in a reused buffer. */
  next(): Uint8Array {
    const [row, above, to, moves] = [this.#above, this.#row, this.#to, this.#moves];
    const piece = this.#from[this.#index++];
    row[0] = this.#index;
    let left = this.#index;
    let diagonal = above[0]!;
    for (let j = 1; j < row.length; j++) {
      const isSame = piece === to[j - 1];
      const up = above[j]!;
      const best = Math.min(up + 1, left + 1, isSame ? diagonal : diagonal + 1);
      // rapidfuzz's order among equally good edits.
      moves[j] = best === up + 1 ? deletion : left < diagonal ? insertion : isSame ? hit : substitution;
      row[j] = left = best;
      diagonal = up;
    }
    this.#row = row;
    this.#above = above;
    return moves;
  }
}
