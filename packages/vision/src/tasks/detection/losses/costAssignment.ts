/**
 * @file Assignment of objects to places by least cost, as many as the overlaps say (SimOTA), as a part of the loss's
 * graph.
 *
 * @see Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (2021), arXiv:2107.08430, and "OTA: Optimal Transport Assignment
 *   for Object Detection" (2021), arXiv:2103.14259
 */

import { int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { type Edges, type Overlaps, overlapsOf } from './boxes.ts';
import { bestPlaces } from './places.ts';

/** Request of {@link assignByCost}; boxes are in pixels, and nothing has a gradient. */
export interface CostAssignmentRequest {
  /** Edges of the boxes that were found, each `[batch, 1, places]`. */
  readonly found: Edges;
  /** Edges of the objects, each `[batch, objects, 1]`. */
  readonly truth: Edges;
  /** Objects that count, bool `[batch, objects, 1]`. */
  readonly counts: Value;
  /** Centers of the places in pixels: `[1, 1, places]`. */
  readonly x: Value;
  readonly y: Value;
  /** Pixels per place: `[1, 1, places]`. */
  readonly stride: Value;
  /** Costs of all places for all objects by their overlaps: `[batch, objects, places]`. */
  readonly costs: (overlaps: Overlaps) => Value;
}

/** The object of each place. */
export interface CostAssignment {
  /** int64 `[batch, places]`; 0 without an object. */
  readonly object: Value;
  /** 1 with an object, else 0: `[batch, places]`. */
  readonly isObject: Value;
  /** Overlap with the object, 0 without one: `[batch, places]`. */
  readonly overlap: Value;
}

/** Overlaps that are summed for an object's number of places. */
const MOST = 10;
/** Places within so many strides of an object's center are tried, even outside of its box. */
const RADIUS = 2.5;
/** Cost of a place that is not both in the box and near the center. */
const OUTSIDE = 1e5;
/** Cost of a place that is neither. */
const NEVER = 1e9;

/** Gives each object the places of least cost; a place that several would take goes to the one it costs least. */
export function assignByCost(g: GraphBuilder, request: CostAssignmentRequest): CostAssignment {
  const { found, truth, counts, x, y, stride } = request;
  const float = (value: Value): Value => g.Cast(value, dataTypeNumber('float32'));
  const isInside = isBetween(g, { x, y }, truth);
  const isNear = isBetween(g, { x, y }, around(g, truth, g.Mul(stride, RADIUS)));
  const isTried = g.And(counts, g.emit('Or', [isInside, isNear]));
  const overlaps = overlapsOf(g, truth, found);
  const overlap = g.Where(isTried, overlaps.iou, 0);
  const [batch, objects, places] = overlap.shape as [number, number, number];
  const known = request.costs(overlaps);
  const within = g.Where(g.And(isInside, isNear), known, g.Add(known, OUTSIDE));
  const cost = g.Where(isTried, within, NEVER);

  const most = Math.min(MOST, places);
  const shape = [batch, objects, most];
  const [best] = g.emitMany('TopK', [overlap, g.ints([most])], 2, { axis: 2 });
  const sums = g.ReduceSum({ ...best!, type: 'float32', shape }, [2], true);
  // Truncated, 1 at least.
  const number = g.Max(g.Cast(g.Cast(sums, dataTypeNumber('int64')), dataTypeNumber('float32')), 1);
  const taken = g.And(isTried, bestPlaces(g, cost, { most, largest: false, number }));
  const takers = g.ReduceSum(float(taken), [1], true);
  const numbers = g.constant(int64(Array.from({ length: objects }, (_, i) => i), [1, objects, 1])); // prettier-ignore
  const cheapest = { ...g.emit('ArgMin', [cost], { axis: 1, keepdims: 1 }), type: 'int64', shape: [batch, 1, places] } as const; // prettier-ignore
  const own = g.Where(g.Greater(takers, 1), float(g.Equal(numbers, cheapest)), float(taken));
  const object = { ...g.emit('ArgMax', [own], { axis: 1, keepdims: 0 }), type: 'int64', shape: [batch, places] } as const; // prettier-ignore
  return {
    object,
    isObject: g.ReduceMax(own, [1], false),
    overlap: g.ReduceMax(g.Mul(overlap, own), [1], false),
  };
}

/** Where places' centers lie within edges: bool `[batch, objects, places]`. */
function isBetween(g: GraphBuilder, { x, y }: { readonly x: Value; readonly y: Value }, edges: Edges): Value {
  const across = g.And(g.Greater(x, edges.left), g.Less(x, edges.right));
  return g.And(across, g.And(g.Greater(y, edges.top), g.Less(y, edges.bottom)));
}

/** Squares around the centers of boxes. */
function around(g: GraphBuilder, { left, top, right, bottom }: Edges, reach: Value): Edges {
  const [x, y] = [g.Mul(g.Add(left, right), 0.5), g.Mul(g.Add(top, bottom), 0.5)];
  return { left: g.Sub(x, reach), top: g.Sub(y, reach), right: g.Add(x, reach), bottom: g.Add(y, reach) };
}
