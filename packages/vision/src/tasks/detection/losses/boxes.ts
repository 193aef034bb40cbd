/** @file Overlaps of boxes as parts of a graph. */

import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';

/** Edges of boxes, each `[..., 1]`. */
export interface Edges {
  readonly left: Value;
  readonly top: Value;
  readonly right: Value;
  readonly bottom: Value;
}

/** The edges of boxes `[..., 4]` given by center, width and height. */
export function edgesOf(g: GraphBuilder, boxes: Value): Edges {
  const [x, y, width, height] = g.Split(boxes, [1, 1, 1, 1], boxes.shape!.length - 1) as [Value, Value, Value, Value];
  const [halfWidth, halfHeight] = [g.Mul(width, 0.5), g.Mul(height, 0.5)];
  return {
    left: g.Sub(x, halfWidth),
    top: g.Sub(y, halfHeight),
    right: g.Add(x, halfWidth),
    bottom: g.Add(y, halfHeight),
  };
}

/** Overlaps of boxes, broadcast: `[..., 1]`. */
export interface Overlaps {
  /** Intersection over union. */
  readonly iou: Value;
  /** `IoU − (A − U) / A`, with the area A of the smallest box around both and the union U (arXiv 1902.09630). */
  readonly giou: Value;
}

/** Overlaps of boxes with boxes. Gradients are torch's: shared at ties of edges, full where boxes only touch. */
export function overlapsOf(g: GraphBuilder, a: Edges, b: Edges): Overlaps {
  const side = (from: Value, to: Value): Value => g.emit('Clip', [g.Sub(to, from), g.scalar(0)]);
  const area = ({ left, top, right, bottom }: Edges): Value => g.Mul(g.Sub(right, left), g.Sub(bottom, top));
  const across = side(g.Max(a.left, b.left), g.Min(a.right, b.right));
  const down = side(g.Max(a.top, b.top), g.Min(a.bottom, b.bottom));
  const both = g.Mul(across, down);
  const either = g.Sub(g.Add(area(a), area(b)), both);
  const iou = g.Div(both, either);
  const around = g.Mul(
    side(g.Min(a.left, b.left), g.Max(a.right, b.right)),
    side(g.Min(a.top, b.top), g.Max(a.bottom, b.bottom)),
  );
  return { iou, giou: g.Sub(iou, g.Div(g.Sub(around, either), around)) };
}

/** Added to heights, areas and distances, as YOLO's authors do. */
const EPSILON = 1e-7;

/**
 * Complete IoU, `IoU − ρ² / c² − k·v`, with the distance ρ of the centers, the diagonal c around both, and the
 * difference v of their shapes; k has no gradient (arXiv 1911.08287). Broadcast.
 */
export function completeIou(g: GraphBuilder, a: Edges, b: Edges): Value {
  const side = (from: Value, to: Value): Value => g.emit('Clip', [g.Sub(to, from), g.scalar(0)]);
  const square = (value: Value): Value => g.Mul(value, value);
  const width = ({ left, right }: Edges): Value => g.Sub(right, left);
  const height = ({ top, bottom }: Edges): Value => g.Add(g.Sub(bottom, top), EPSILON);
  const both = g.Mul(
    side(g.Max(a.left, b.left), g.Min(a.right, b.right)),
    side(g.Max(a.top, b.top), g.Min(a.bottom, b.bottom)),
  );
  const area = (box: Edges): Value => g.Mul(width(box), height(box));
  const iou = g.Div(both, g.Add(g.Sub(g.Add(area(a), area(b)), both), EPSILON));
  const across = g.Sub(g.Max(a.right, b.right), g.Min(a.left, b.left));
  const down = g.Sub(g.Max(a.bottom, b.bottom), g.Min(a.top, b.top));
  const diagonal = g.Add(g.Add(square(across), square(down)), EPSILON);
  const apart = (from: Value, to: Value, other: Value, end: Value): Value => square(g.Sub(g.Add(from, to), g.Add(other, end))); // prettier-ignore
  const distance = g.Mul(g.Add(apart(a.left, a.right, b.left, b.right), apart(a.top, a.bottom, b.top, b.bottom)), 0.25);
  const slope = (box: Edges): Value => g.emit('Atan', [g.Div(width(box), height(box))]);
  const shape = g.Mul(square(g.Sub(slope(b), slope(a))), 4 / Math.PI ** 2);
  const share = g.stopGradient(g.Div(shape, g.Add(g.Sub(shape, iou), 1 + EPSILON)));
  return g.Sub(iou, g.Add(g.Div(distance, diagonal), g.Mul(shape, share)));
}
