/**
 * @file Task-aligned assignment of objects to the places of a dense head, as a part of the loss's graph.
 *
 * @see Feng et al., "TOOD: Task-aligned One-stage Object Detection" (2021), arXiv:2108.07755
 */

import { int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { completeIou, type Edges } from './boxes.ts';
import { bestPlaces, ofLabels } from './places.ts';

/** Request of {@link assignPlaces}; boxes are in pixels, and nothing has a gradient. */
export interface GridAssignmentRequest {
  /** Class scores before the sigmoid: `[batch, places, classes]`. */
  readonly logits: Value;
  /** Edges of the boxes that were found, each `[batch, 1, places]`. */
  readonly found: Edges;
  /** Edges of the objects, each `[batch, objects, 1]`. */
  readonly truth: Edges;
  /** int64 `[batch, objects]`. */
  readonly labels: Value;
  /** Objects that count, bool `[batch, objects, 1]`. */
  readonly counts: Value;
  /** Centers of the places in pixels: `[1, 1, places]`. */
  readonly x: Value;
  readonly y: Value;
}

/** Settings of the assignment; by default those of YOLOv8. */
export interface GridAssignmentOptions {
  /** Places that an object takes at most; 10 by default. */
  readonly most?: number | undefined;
  /** Power of the class's score; 0.5 by default. */
  readonly alpha?: number | undefined;
  /** Power of the overlap; 6 by default. */
  readonly beta?: number | undefined;
}

/** The object of each place. */
export interface GridAssignment {
  /** int64 `[batch, places]`; 0 without an object. */
  readonly object: Value;
  /** Target score of the object's class, 0 without an object: `[batch, places]`. */
  readonly score: Value;
}

/** Shorter sides, in pixels, are taken as {@link WIDENED}: no place's center may lie in them. */
const SHORT = 8;
const WIDENED = 16;

/**
 * Assigns objects to the places inside of them with the best `score^alpha · overlap^beta`. A place that several take goes
 * to the object that overlaps most.
 */
export function assignPlaces(
  g: GraphBuilder,
  { logits, found, truth, labels, counts, x, y }: GridAssignmentRequest,
  { most = 10, alpha = 0.5, beta = 6 }: GridAssignmentOptions = {},
): GridAssignment {
  const [batch, places] = logits.shape as [number, number, number];
  const objects = labels.shape![1] as number;
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));
  const inside = g.And(
    counts,
    g.And(isBetween(g, x, truth.left, truth.right), isBetween(g, y, truth.top, truth.bottom)),
  );
  const overlap = g.Where(inside, g.Relu(completeIou(g, truth, found)), 0);
  const score = ofLabels(g, g.Sigmoid(logits), labels);
  const fit = g.Where(inside, g.Mul(g.Pow(score, alpha), g.Pow(overlap, beta)), 0);

  const best = bestPlaces(g, fit, { most: Math.min(most, places), largest: true });
  const taken = g.And(best, g.Greater(fit, 0));
  const takers = g.ReduceSum(float(taken), [1], true);
  const numbers = g.constant(int64(Array.from({ length: objects }, (_, i) => i), [1, objects, 1])); // prettier-ignore
  const closest = { ...g.emit('ArgMax', [overlap], { axis: 1, keepdims: 1 }), type: 'int64', shape: [batch, 1, places] } as const; // prettier-ignore
  const own = g.Where(g.Greater(takers, 1), float(g.Equal(numbers, closest)), float(taken));
  const object = { ...g.emit('ArgMax', [own], { axis: 1, keepdims: 0 }), type: 'int64', shape: [batch, places] } as const; // prettier-ignore
  const fits = g.Mul(fit, own);
  const mostOf = (value: Value): Value => g.ReduceMax(value, [2], true);
  const share = g.Div(mostOf(g.Mul(overlap, own)), g.Add(mostOf(fits), 1e-9));
  return { object, score: g.ReduceMax(g.Mul(fits, share), [1], false) };
}

/** Where a center lies between two edges, `[batch, objects, places]`; short sides count as longer. */
function isBetween(g: GraphBuilder, at: Value, from: Value, to: Value): Value {
  const size = g.Sub(to, from);
  const half = g.Mul(g.Where(g.Less(size, SHORT), WIDENED, size), 0.5);
  const middle = g.Mul(g.Add(from, to), 0.5);
  return g.Greater(g.Sub(half, g.Abs(g.Sub(at, middle))), 1e-9);
}
