/** @file When tokens are said, by what the decoder attends to. */

/** Numbers, `[rows, columns]`. */
export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

const DIAGONAL = 0;
const DOWN = 1;
const RIGHT = 2;

/**
 * The cheapest path through a matrix of costs `[rows, columns]` from its first element to its last, by steps right, down or
 * both. Gives for each row the first column on the path.
 *
 * @see transformers, generation_whisper.py, _dynamic_time_warping; openai-whisper, whisper/timing.py, dtw
 */
export function timeWarp({ rows, columns, data }: Grid): number[] {
  const width = columns + 1;
  // Two columns are enough for the costs, as rows are gone through in the inner loop.
  const costs = [new Float32Array(rows + 1).fill(Infinity), new Float32Array(rows + 1).fill(Infinity)] as const;
  const steps = new Uint8Array((rows + 1) * width);
  steps.fill(RIGHT, 0, width);
  for (let row = 1; row <= rows; row++) steps[row * width] = DOWN;
  costs[0][0] = 0;
  for (let column = 1; column <= columns; column++) {
    const before = costs[(column - 1) % 2]!;
    const now = costs[column % 2]!;
    now[0] = Infinity;
    for (let row = 1; row <= rows; row++) {
      const [diagonal, down, right] = [before[row - 1]!, now[row - 1]!, before[row]!];
      const isDiagonal = diagonal < down && diagonal < right;
      const isDown = !isDiagonal && down < diagonal && down < right;
      now[row] = data[(row - 1) * columns + column - 1]! + (isDiagonal ? diagonal : isDown ? down : right);
      steps[row * width + column] = isDiagonal ? DIAGONAL : isDown ? DOWN : RIGHT;
    }
  }
  const first = new Array<number>(rows).fill(0);
  for (let [row, column] = [rows, columns]; row > 0 || column > 0;) {
    if (row > 0) first[row - 1] = Math.max(0, column - 1);
    const step = steps[row * width + column];
    if (step !== RIGHT) row--;
    if (step !== DOWN) column--;
  }
  return first;
}

/** Weights are smoothed over so many positions, as in the configuration of all published models. */
const FILTER_WIDTH = 7;

/**
 * Positions of the encoder at which tokens end, one for each row of attention weights `[tokens, positions]`. The weights of each head are compared with those of other
 * tokens at the same position, smoothed over time, and averaged; a token's place is where the cheapest path through them is.
 *
 * @param heads at least one, all of the same size
 * @see transformers, WhisperGenerationMixin._extract_token_timestamps; openai-whisper, whisper/timing.py, find_alignment
 */
export function tokenTimes(heads: readonly Grid[]): number[] {
  const { rows, columns } = heads[0]!;
  const costs = { rows, columns, data: new Float64Array(rows * columns) };
  const smooth = new Float64Array(columns);
  for (const head of heads) {
    const scores = standardised(head);
    for (let row = 0; row < rows; row++) {
      medianFilter(scores.subarray(row * columns, (row + 1) * columns), smooth);
      for (let i = 0; i < columns; i++) costs.data[row * columns + i]! -= smooth[i]! / heads.length;
    }
  }
  return timeWarp(costs);
}

/** Of mean 0 and deviation 1 over the tokens, at each position. */
function standardised({ rows, columns, data }: Grid): Float64Array {
  const scores = Float64Array.from(data);
  for (let i = 0; i < columns; i++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < rows; row++) sum += scores[row * columns + i]!;
    const mean = sum / rows;
    for (let row = 0; row < rows; row++) squares += (scores[row * columns + i]! - mean) ** 2;
    const deviation = Math.sqrt(squares / rows);
    // Where all tokens attend alike nothing is known.
    for (let at = i; at < scores.length; at += columns)
      scores[at] = deviation === 0 ? 0 : (scores[at]! - mean) / deviation;
  }
  return scores;
}

/** The median of each value and its neighbours; both ends are mirrored. Too few values stay as they are. */
export function medianFilter(values: Float64Array, result: Float64Array): void {
  const half = (FILTER_WIDTH - 1) / 2;
  const { length } = values;
  if (length <= half) {
    result.set(values);
    return;
  }
  const window = new Float64Array(FILTER_WIDTH);
  const last = length - 1;
  for (let i = 0; i < length; i++) {
    for (let k = -half; k <= half; k++) {
      const at = Math.abs(i + k);
      window[k + half] = values[at > last ? 2 * last - at : at]!;
    }
    result[i] = window.sort()[half]!;
  }
}
