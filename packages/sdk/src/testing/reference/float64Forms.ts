/** @file Operators that ONNX Runtime does not compute in double precision, made of those that it does. */

import { windowOf } from '../../autodiff/window.ts';
import type { GraphBuilder, Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isStatic } from '../../graph/value.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { erfFloat64 } from './erf.ts';

/** Makes a node's first output from its inputs; undefined where a form of it is not covered. */
type Form = (g: GraphBuilder, node: NodeProto, inputs: readonly (Value | undefined)[]) => Value | undefined;

/** By type of a standard operator. */
const forms: Readonly<Record<string, Form>> = {
  Erf: (g, _, [x]) => x && erfFloat64(g, x),
  Conv: (g, node, [x, w, b]) => x && w && convolution(g, node, x, w, b),
  GlobalAveragePool: (g, _, [x]) =>
    x?.shape &&
    g.ReduceMean(
      x,
      x.shape.slice(2).map((__, i) => i + 2),
      true,
    ),
};

/** The form of a node's operator, where it needs one. */
export function float64Form({ opType = '', domain = '' }: NodeProto): Form | undefined {
  return domain === '' && Object.hasOwn(forms, opType) ? forms[opType] : undefined;
}

/** What each window reads, as columns, times the kernel as a matrix, group by group. */
function convolution(g: GraphBuilder, node: NodeProto, x: Value, w: Value, b: Value | undefined): Value | undefined {
  if (!isStatic(x.shape) || !isStatic(w.shape) || g.opset < 11) return undefined;
  const [batch, , ...image] = x.shape as [number, number, ...number[]];
  const [filters, own, ...kernel] = w.shape as [number, number, ...number[]];
  const { strides, dilations, pads, group } = windowOf(node, image, kernel);
  const rank = kernel.length;
  const counts = image.map((size, i) => {
    const free = size + pads[i]! + pads[rank + i]! - (kernel[i]! - 1) * dilations[i]! - 1;
    return Math.floor(free / strides[i]!) + 1;
  });
  const [points, positions] = [sizeOf(counts), sizeOf(kernel)];
  const padded = pads.every((pad) => pad === 0)
    ? x
    : g.Pad(x, [0, 0, ...pads.slice(0, rank), 0, 0, ...pads.slice(rank)]);
  const axes = kernel.map((_, i) => i + 2);
  const columns = Array.from({ length: positions }, (_, position) => {
    const at = kernel.map((size, i) => dilations[i]! * (Math.floor(position / sizeOf(kernel.slice(i + 1))) % size));
    const ends = at.map((start, i) => start + (counts[i]! - 1) * strides[i]! + 1);
    return g.Reshape(g.Slice(padded, at, ends, axes, strides), [batch, group, own, 1, points]);
  });
  const read = g.Reshape(g.Concat(columns, 3), [batch, group, own * positions, points]);
  const matrix = g.Reshape(w, [1, group, filters / group, own * positions]);
  const product = g.Reshape(g.MatMul(matrix, read), [batch, filters, ...counts]);
  return b ? g.Add(product, g.Reshape(b, [filters, ...kernel.map(() => 1)])) : product;
}
