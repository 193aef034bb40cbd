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
