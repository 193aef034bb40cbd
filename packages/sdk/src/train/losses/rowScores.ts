/** @file Cross-entropies of rows of scores, with gradients as formulas: softmax minus target. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { formatShape } from '../../graph/value.ts';
import { int64 } from '../../runtime/tensor.ts';
import { expectOf } from '../graph/expected.ts';
import { classesOf, int32, invalid, numbers, rowsOf, shapeOf, wide } from './operands.ts';
import { type Reduction, total } from './reduction.ts';

/** Rows of class scores, and the parts of their cross-entropies. */
export interface RowScores {
  /** `[rows, classes]`, float32 or float64 */
  readonly scores: Value;
  /** Their softmax. */
  readonly probabilities: Value;
  /** The largest score of each row: `[rows, 1]`. */
  readonly top: Value;
  /** `log Σ exp(scores) − top`, at least 0: `[rows, 1]`. */
  readonly excess: Value;
}

/**
 * Prepares scores `[..., classes]`, times `factor`. Softmax is one operator instead of four passes for exp, sum and
 * log, and the only stored value of that size: `log Σ exp x = max x − log max softmax(x)`, where the largest
 * probability is at least 1/classes.
 */
export function rowScores(g: GraphBuilder, logits: Value, factor = 1): RowScores {
  const rows = rowsOf(g, wide(g, logits));
  const scores = factor === 1 ? rows : g.Mul(rows, factor);
  const probabilities = g.Softmax(scores, 1);
  return {
    scores,
    probabilities,
    top: g.ReduceMax(scores, [1], true),
    excess: g.Neg(g.Log(g.ReduceMax(probabilities, [1], true))),
  };
}

/** `−log softmax(x)[label]` of each row, `[rows, 1]`; its gradient is the softmax, minus 1 at the label. */
export function labelCost(g: GraphBuilder, rows: RowScores, index: Value, smoothing = 0): Value {
  const { scores, probabilities, top, excess } = rows;
  const picked = g.GatherElements(scores, index, 1);
  const score =
    smoothing === 0 ? picked : g.Add(g.Mul(picked, 1 - smoothing), g.Mul(g.ReduceMean(scores, [1], true), smoothing));
  const others = smoothing === 0 ? probabilities : g.Sub(probabilities, smoothing / classesOf(scores));
  const less = g.Sub(g.GatherElements(others, index, 1), 1 - smoothing);
  const gradient = g.emit(g.opset < 11 ? 'Scatter' : 'ScatterElements', [others, index, less], { axis: 1 });
  return g.withGradient(g.Add(g.Sub(top, score), excess), [{ by: scores, gradient }]);
}

/**
 * `−Σ target · log softmax(x)` of each row, `[rows, 1]`, with gradient softmax · Σ target − target.
 * @param target constant `[rows, classes]` or `[1, classes]`, which need not sum to 1
 */
export function targetCost(g: GraphBuilder, { scores, probabilities, top, excess }: RowScores, target: Value): Value {
  const sum = g.ReduceSum(target, [1], true);
  const cost = g.Add(g.ReduceSum(g.Mul(target, g.Sub(top, scores)), [1], true), g.Mul(excess, sum));
  return g.withGradient(cost, [{ by: scores, gradient: g.Sub(g.Mul(probabilities, sum), target) }]);
}

/** Safe indices of labels, and those that count; both `[rows, 1]`. */
export interface RowLabels {
  /** int32; 0 for an ignored label. */
  readonly index: Value;
  /** bool */
  readonly counts: Value;
}

/** Labels `[...]` of scores `[..., classes]`. @throws OnnxLoraError `PLUGIN_INVALID` for mismatched shapes */
export function rowLabels(
  g: GraphBuilder,
  labels: Value,
  logits: Value,
  ignoreIndex: number,
  reduction: Reduction,
): RowLabels {
  const [shape, whole] = [shapeOf(labels), shapeOf(logits)];
  if (shape.join() !== whole.slice(0, -1).join()) {
    throw invalid(
      `labels "${labels.name}" of shape ${formatShape(shape)} do not fit scores "${logits.name}" of shape ${formatShape(whole)}: there must be a label for each row of scores.`,
    );
  }
  const classes = whole.at(-1)!;
  expectOf(g, labels, {
    classes,
    isIgnored: (label) => label === ignoreIndex,
    ignored: `${ignoreIndex} does not count`,
    isMean: reduction === 'mean',
  });
  // As int32, only the column moves to a provider without int64.
  const column = narrow(g, g.Reshape(labels, [-1, 1]));
  const counts = g.Not(g.Equal(column, int32(g, [ignoreIndex], [])));
  // A negative index would count from the end.
  const sound = g.Where(g.Less(column, int32(g, [0], [])), int32(g, [classes], []), column);
  return { index: g.Where(counts, sound, int32(g, [0], [])), counts };
}

/** Casts integers to int32, clamping int64 instead of truncating its bits. */
export function narrow(g: GraphBuilder, numbers: Value): Value {
  const largest = 2 ** 31 - 1;
  const bound = (value: number): Value => g.constant(int64([value], []));
  const isWide = numbers.type === 'int64' && g.opset >= 9;
  const bounded = isWide ? g.Where(g.Less(bound(largest), numbers), bound(largest), g.Where(g.Less(numbers, bound(-largest)), bound(-largest), numbers)) : numbers; // prettier-ignore
  return g.Cast(bounded, dataTypeNumber('int32'));
}

/** A constant `[classes]` of class weights. @throws OnnxLoraError `PLUGIN_INVALID` unless one per class */
export function classWeights(g: GraphBuilder, weight: readonly number[], scores: Value): Value {
  const classes = classesOf(scores);
  if (weight.length === classes) return numbers(g, weight, [classes], scores);
  throw invalid(`there are ${weight.length} weights for the ${classes} classes of "${scores.name}".`);
}

/** The weight of each label, `[rows, 1]`, including its class's weight if given. */
export function weighted(
  g: GraphBuilder,
  counts: Value,
  index: Value,
  weight: readonly number[] | undefined,
  scores: Value,
): Value {
  return weight ? g.Mul(counts, g.Gather(classWeights(g, weight, scores), index, 0)) : counts;
}

/** Costs of rows, `[rows, 1]`, and their weights in the mean; equal by default. */
export interface RowCosts {
  readonly costs: Value;
  readonly counts?: Value | undefined;
}

/** Reduces costs of rows; without reduction they get the labels' shape. */
export function reduceRows(
  g: GraphBuilder,
  { costs, counts }: RowCosts,
  shape: readonly number[],
  reduction: Reduction,
): Value {
  if (reduction === 'none') return g.Reshape(costs, shape);
  if (reduction === 'sum' || !counts) return total(g, costs, reduction);
  return g.Div(total(g, costs, 'sum'), total(g, counts, 'sum'));
}
