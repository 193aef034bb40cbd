/** @file Contrastive losses: each row of a batch must identify its partner among all others. */

import type { GraphBuilder, Value } from '../../../graph/builder.ts';
import { eye } from '../../../autodiff/vjp.ts';
import { formatShape } from '../../../graph/value.ts';
import { binaryCost } from '../binaryCrossEntropy.ts';
import { int32, invalid, numbers, range, sameShape, shapeOf, typed, wide } from '../operands.ts';
import { total } from '../reduction.ts';
import { labelCost, rowScores } from '../rowScores.ts';

/** Options of {@link infoNce}. */
export interface InfoNceOptions {
  /** Divides cosines; 0.07 by default. Small values emphasise the hardest negative. */
  readonly temperature?: number | undefined;
  /** A scalar of the graph that multiplies cosines instead of `temperature`, such as CLIP's `exp(logit_scale)`. */
  readonly scale?: Value | undefined;
  /** Whether to normalise vectors; true by default, false if the model does. */
  readonly normalize?: boolean | undefined;
  /** Whether b must identify its partner in a too, as in CLIP; true by default. */
  readonly symmetric?: boolean | undefined;
  /** `[negatives, width]`: additional negatives of every row of `a`. */
  readonly negatives?: Value | undefined;
}

/**
 * InfoNCE: row i of `a` matches row i of `b`; the batch's other rows are negatives. Tasks must omit `lossWeight`, since
 * the loss of a part of a batch differs.
 * @param a `[batch, width]`, float
 * @param b the same shape
 * @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes, or other than matrices
 * @see https://arxiv.org/abs/1807.03748 and https://arxiv.org/abs/2103.00020
 */
export function infoNce(
  g: GraphBuilder,
  a: Value,
  b: Value,
  { temperature = 0.07, scale, normalize = true, symmetric = true, negatives }: InfoNceOptions = {},
): Value {
  const shape = sameShape('InfoNCE', a, b);
  if (shape.length !== 2)
    throw invalid(`InfoNCE compares rows [batch, width], but "${a.name}" is ${formatShape(shape)}.`);
  if (!(temperature > 0)) throw invalid(`temperature is a number above 0, but it is ${temperature}.`);
  const left = wide(g, a);
  const right = typed(g, wide(g, b), left);
  const [rows, columns] = normalize ? [unit(g, left), unit(g, right)] : [left, right];
  const cosines = g.MatMul(rows, g.Transpose(columns, [1, 0]));
  const factor = scale ? typed(g, wide(g, scale), left) : 1 / temperature;
  const similarities = g.Mul(cosines, factor);
  if (!negatives) return contrastive(g, similarities, { symmetric });
  const others = typed(g, wide(g, negatives), left);
  const apart = g.MatMul(rows, g.Transpose(normalize ? unit(g, others) : others, [1, 0]));
  const forward = diagonalCost(g, g.Concat([similarities, g.Mul(apart, factor)], 1));
  if (!symmetric) return forward;
  return g.Mul(g.Add(forward, diagonalCost(g, g.Transpose(similarities, [1, 0]))), 0.5);
}

/** Mean cross-entropy of rows whose label is their index. */
function diagonalCost(g: GraphBuilder, scores: Value): Value {
  const rows = shapeOf(scores)[0]!;
  return total(g, labelCost(g, rowScores(g, scores), int32(g, range(rows), [rows, 1])), 'mean');
}

/**
 * Contrastive loss of a similarity matrix, such as CLIP's `logits_per_image`: mean cross-entropy of rows, and of
 * columns, with the diagonal as labels.
 * @param similarities `[batch, batch]`, float, already scaled
 * @throws OnnxLoraError `PLUGIN_INVALID` unless square
 */
export function contrastive(
  g: GraphBuilder,
  similarities: Value,
  { symmetric = true }: Pick<InfoNceOptions, 'symmetric'> = {},
): Value {
  squareSize(similarities);
  const forward = diagonalCost(g, similarities);
  if (!symmetric) return forward;
  return g.Mul(g.Add(forward, diagonalCost(g, g.Transpose(similarities, [1, 0]))), 0.5);
}

function squareSize(similarities: Value): number {
  const [batch, columns, ...more] = shapeOf(similarities);
  if (batch !== undefined && batch === columns && more.length === 0) return batch;
  throw invalid(
    `a contrastive loss needs similarities [batch, batch], but "${similarities.name}" is ${formatShape(similarities.shape)}.`,
  );
}

/** The identity matrix. */
export function identity(g: GraphBuilder, size: number, like: Value): Value {
  return numbers(g, eye(size), [size, size], like);
}

/**
 * SigLIP's loss of a similarity matrix: binary cross-entropy per pair, positive on the diagonal, summed and divided by
 * the rows.
 * @param similarities `[batch, batch]`, float, already scaled and shifted, such as SigLIP's `logits_per_image`
 * @throws OnnxLoraError `PLUGIN_INVALID` unless square
 * @see https://arxiv.org/abs/2303.15343
 */
export function sigmoidContrastive(g: GraphBuilder, similarities: Value): Value {
  const batch = squareSize(similarities);
  const x = wide(g, similarities);
  return g.Mul(total(g, binaryCost(g, x, identity(g, batch, x)), 'sum'), 1 / batch);
}

/** Rows normalised to length 1. */
export function unit(g: GraphBuilder, x: Value): Value {
  const square = g.ReduceSum(g.Mul(x, x), [1], true);
  return g.Div(x, g.Sqrt(g.Add(square, 1e-12)));
}
