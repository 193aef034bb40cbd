/** @file FRoD's shared basis of layers, and a weight's coordinates in it. */

import {
  addScaled,
  matmul,
  type Matrix,
  matrix,
  qr,
  scaleColumns,
  sliceRows,
  solvePositive,
  svd,
  symmetricEigen,
  TorchRandom,
  transpose,
  type TunedLayer,
} from '@onnx-lora/sdk/plugin';

/** Norms and directions of the columns of W·V⁻ᵀ. */
export function columnsOf(W: Matrix, V: Matrix): { readonly lengths: Float64Array; readonly directions: Matrix } {
  const whole = divided(W, V);
  const lengths = new Float64Array(whole.columns);
  whole.data.forEach((each, i) => (lengths[i % whole.columns]! += each * each));
  for (const [i, each] of lengths.entries()) lengths[i] = Math.sqrt(each);
  return { lengths, directions: scaleColumns(whole, lengths.map((each) => (each > 1e-12 ? 1 / each : 0))) }; // prettier-ignore
}

/** W·V⁻ᵀ, by the pseudo-inverse for a singular V. */
function divided(W: Matrix, V: Matrix): Matrix {
  try {
    return transpose(solvePositive(matmul(V, V, { transposeA: true }), transpose(matmul(W, V))));
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const { U, S, V: right } = svd(V);
    const inverses = S.map((each) => (each > 1e-6 * S[0]! ? 1 / each : 0));
    return matmul(scaleColumns(matmul(W, U), inverses), right, { transposeB: true });
  }
}

/** The basis of a higher-order generalised SVD of the layers' weights, `[in, in]`. */
export function basisOf(layers: readonly TunedLayer[], alpha: number): Matrix {
  const [{ in: width }] = layers as [TunedLayer];
  const rows = layers.reduce((sum, each) => sum + each.out, 0);
  const stacked = matrix(rows, width);
  let at = 0;
  for (const each of layers) at += (stacked.data.set(each.weight(), at), each.out * width);
  if (rows < width) return symmetricEigen(matmul(stacked, stacked, { transposeA: true })).V;
  const { Q, R } = qr(stacked);
  const one = matrix(
    width,
    width,
    Float64Array.from({ length: width * width }, (_, i) => Number(i % (width + 1) === 0)),
  );
  let [sum, row] = [matrix(width, width), 0];
  for (const { out } of layers) {
    const part = sliceRows(Q, row, (row += out));
    const ridge = addScaled(matmul(part, part, { transposeA: true }), one, alpha);
    sum = addScaled(sum, solvePositive(ridge, one), 1 / layers.length);
  }
  return matmul(R, symmetricEigen(sum).V, { transposeA: true });
}

/** Off-diagonal places `[2, count]`, seeded. */
export function drawn(width: number, count: number, key: number): BigInt64Array {
  const places = new BigInt64Array(2 * count);
  for (const [i, place] of new TorchRandom(key).permuted(count, width * (width - 1)).entries()) {
    const [row, column] = [Math.floor(place / (width - 1)), place % (width - 1)];
    places[i] = BigInt(row);
    places[count + i] = BigInt(column < row ? column : column + 1);
  }
  return places;
}
