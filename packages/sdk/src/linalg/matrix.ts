/** @file Dense float64 matrices and their products. */

/** A dense matrix, row by row. */
export interface Matrix {
  /** Number of rows. */
  readonly rows: number;
  /** Number of columns. */
  readonly columns: number;
  /** `[rows, columns]`, row-major. */
  readonly data: Float64Array;
}

/** Options of {@link matmul}. */
export interface ProductOptions {
  /** Transposes the left operand; false by default. */
  readonly transposeA?: boolean;
  /** Transposes the right operand; false by default. */
  readonly transposeB?: boolean;
}

/** A row-major matrix; zeros by default. Wraps a Float64Array, else copies. @throws RangeError for a wrong length */
export function matrix(rows: number, columns: number, values?: ArrayLike<number>): Matrix {
  if (values && values.length !== rows * columns)
    throw new RangeError(`A matrix [${rows}, ${columns}] cannot hold ${values.length} values.`);
  if (!values) return { rows, columns, data: new Float64Array(rows * columns) };
  return { rows, columns, data: values instanceof Float64Array ? values : Float64Array.from(values) };
}

/** The transposed matrix. */
export function transpose({ rows, columns, data }: Matrix): Matrix {
  const result = new Float64Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  return { rows: columns, columns: rows, data: result };
}

/** Rows `from` to `to − 1`. */
export function sliceRows({ columns, data }: Matrix, from: number, to: number): Matrix {
  return { rows: to - from, columns, data: data.slice(from * columns, to * columns) };
}

/** Columns `from` to `to − 1`. */
export function sliceColumns({ rows, columns, data }: Matrix, from: number, to: number): Matrix {
  const width = to - from;
  const result = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++) result.set(data.subarray(i * columns + from, i * columns + to), i * width);
  return { rows, columns: width, data: result };
}

/** Concatenates the columns of both matrices. */
export function joinColumns(a: Matrix, b: Matrix): Matrix {
  const columns = a.columns + b.columns;
  const result = new Float64Array(a.rows * columns);
  for (let i = 0; i < a.rows; i++) {
    result.set(a.data.subarray(i * a.columns, (i + 1) * a.columns), i * columns);
    result.set(b.data.subarray(i * b.columns, (i + 1) * b.columns), i * columns + a.columns);
  }
  return { rows: a.rows, columns, data: result };
}

/** Row i times `factors[i]`: diag(factors) · matrix. */
export function scaleRows({ rows, columns, data }: Matrix, factors: ArrayLike<number>): Matrix {
  const result = data.slice();
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[i * columns + j]! *= factors[i]!;
  return { rows, columns, data: result };
}

/** Column j times `factors[j]`: matrix · diag(factors). */
export function scaleColumns({ rows, columns, data }: Matrix, factors: ArrayLike<number>): Matrix {
  const result = data.slice();
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[i * columns + j]! *= factors[j]!;
  return { rows, columns, data: result };
}

/** `a + factor · b`. */
export function addScaled(a: Matrix, b: Matrix, factor: number): Matrix {
  const result = a.data.slice();
  for (let i = 0; i < result.length; i++) result[i]! += factor * b.data[i]!;
  return { rows: a.rows, columns: a.columns, data: result };
}

/** Rows of `b` per block: they stay in a core's cache for all of `a`. */
const BLOCK = 64;

/** `op(a) · op(b)`. @throws RangeError when the inner dimensions differ */
export function matmul(a: Matrix, b: Matrix, { transposeA = false, transposeB = false }: ProductOptions = {}): Matrix {
  const left = transposeA ? transpose(a) : a;
  const right = transposeB ? transpose(b) : b;
  if (left.columns !== right.rows)
    throw new RangeError(
      `Matrices [${left.rows}, ${left.columns}] and [${right.rows}, ${right.columns}] have no product.`,
    );
  const [rows, inner, columns] = [left.rows, left.columns, right.columns];
  const result = new Float64Array(rows * columns);
  for (let start = 0; start < inner; start += BLOCK) {
    const end = Math.min(start + BLOCK, inner);
    for (let i = 0; i < rows; i++) addRow(result, i * columns, left.data, i * inner, right.data, columns, start, end);
  }
  return { rows, columns, data: result };
}

/** Adds rows `start` to `end − 1` of `b`, weighted by a row of `a`, to a row of the result, four at a time. */
function addRow(
  result: Float64Array,
  at: number,
  a: Float64Array,
  row: number,
  b: Float64Array,
  columns: number,
  start: number,
  end: number,
): void {
  let k = start;
  for (; k + 3 < end; k += 4) {
    const [x0, x1, x2, x3] = [a[row + k]!, a[row + k + 1]!, a[row + k + 2]!, a[row + k + 3]!];
    const b0 = k * columns;
    const b1 = b0 + columns;
    const b2 = b1 + columns;
    const b3 = b2 + columns;
    for (let j = 0; j < columns; j++)
      result[at + j]! += x0 * b[b0 + j]! + x1 * b[b1 + j]! + x2 * b[b2 + j]! + x3 * b[b3 + j]!;
  }
  for (; k < end; k++) {
    const x = a[row + k]!;
    const b0 = k * columns;
    for (let j = 0; j < columns; j++) result[at + j]! += x * b[b0 + j]!;
  }
}
