/** @file Dynamic time warping: which step of one sequence goes with which of another. */

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
