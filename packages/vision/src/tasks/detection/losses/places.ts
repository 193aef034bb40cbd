/** @file Places of a dense head's grids, as parts of a loss's graph. */

import { float32, int64 } from '@onnx-lora/sdk';
import { dataTypeNumber } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import type { Edges } from './boxes.ts';

/** Sizes of a level: `[batch, channels, rows, columns]`. */
export type LevelSize = readonly [batch: number, channels: number, rows: number, columns: number];

/** All levels as rows of places: `[batch, places, channels]`. */
export function flattened(
  g: GraphBuilder,
  levels: readonly Value[],
): { readonly all: Value; readonly sizes: readonly LevelSize[]; readonly batch: number; readonly channels: number } {
  const sizes = levels.map(({ shape }) => shape as LevelSize);
  const [batch, channels] = sizes[0]!;
  const flat = levels.map((level, i) => {
    const [, , rows, columns] = sizes[i]!;
    return g.Transpose(g.Reshape(level, [batch, channels, rows * columns]), [0, 2, 1]);
  });
  return { all: flat.length === 1 ? flat[0]! : g.Concat(flat, 1), sizes, batch, channels };
}

/** Centers of all places, in places of their level, row by row; the strides, and the input's width and height. */
export function placesOf(
  sizes: readonly LevelSize[],
  strides: readonly number[],
): { readonly x: number[]; readonly y: number[]; readonly stride: number[]; readonly count: [number, number] } {
  const [x, y, stride]: [number[], number[], number[]] = [[], [], []];
  sizes.forEach(([, , rows, columns], level) => {
    for (let at = 0; at < rows * columns; at++) {
      x.push((at % columns) + 0.5);
      y.push(Math.floor(at / columns) + 0.5);
      stride.push(strides[level]!);
    }
  });
  const [, , rows, columns] = sizes[0]!;
  return { x, y, stride, count: [columns * strides[0]!, rows * strides[0]!] };
}

/** Class `[batch, places, 1]` and box `[batch, places, 4]` of the object of each place. */
export function objectRows(
  g: GraphBuilder,
  object: Value,
  { labels, pixels }: { readonly labels: Value; readonly pixels: Value },
): { readonly label: Value; readonly box: Value } {
  const [batch, places] = object.shape as [number, number];
  const objects = labels.shape![1] as number;
  const starts = g.constant(int64(Array.from({ length: batch }, (_, i) => i * objects), [batch, 1])); // prettier-ignore
  const place = g.Reshape(g.Add(object, starts), [batch * places]);
  return {
    label: g.Reshape(g.Gather(g.Reshape(labels, [batch * objects]), place, 0), [batch, places, 1]),
    box: g.Reshape(g.Gather(g.Reshape(pixels, [batch * objects, 4]), place, 0), [batch, places, 4]),
  };
}

/**
 * Marks the best places of each object: as many as `most`, or as `number` says. The first places of
 * equal values count, so that there are never more.
 * @param values `[batch, objects, places]`
 * @param number float32 `[batch, objects, 1]`, at most `most`; `most` by default
 * @returns bool `[batch, objects, places]`
 */
export function bestPlaces(
  g: GraphBuilder,
  values: Value,
  { most, largest, number }: { readonly most: number; readonly largest: boolean; readonly number?: Value },
): Value {
  const [batch, objects, places] = values.shape as [number, number, number];
  const shape = [batch, objects, most];
  const [, found] = g.emitMany('TopK', [values, g.ints([most])], 2, { axis: 2, largest: largest ? 1 : 0 });
  const order = g.constant(float32(Array.from({ length: most }, (_, i) => i), [1, 1, most])); // prettier-ignore
  const one = g.Expand(g.scalar(1), shape);
  const marks = number ? g.Cast(g.Less(g.Expand(order, shape), number), dataTypeNumber('float32')) : one;
  const none = g.Expand(g.scalar(0), [batch, objects, places]);
  const marked = g.emit('ScatterElements', [none, { ...found!, type: 'int64', shape }, marks], { axis: 2 });
  return g.Greater({ ...marked, type: 'float32', shape: values.shape! }, 0.5);
}

/** Each object's class among values `[batch, places, classes]`: `[batch, objects, places]`. */
export function ofLabels(g: GraphBuilder, values: Value, labels: Value): Value {
  const [batch, places, classes] = values.shape as [number, number, number];
  const starts = g.constant(int64(Array.from({ length: batch }, (_, i) => i * classes), [batch, 1])); // prettier-ignore
  const columns = g.Reshape(g.Transpose(values, [0, 2, 1]), [batch * classes, places]);
  return g.Gather(columns, g.Add(labels, starts), 0);
}

/** Objects that count, where others are padding: bool `[batch, objects, 1]`. */
export function countedObjects(g: GraphBuilder, counts: Value, objects: number): Value {
  const [batch] = counts.shape as [number];
  const order = g.constant(int64(Array.from({ length: objects }, (_, i) => i), [1, objects])); // prettier-ignore
  return g.Unsqueeze(g.Less(order, g.Reshape(counts, [batch, 1])), [2]);
}

/** Edges of boxes `[batch, places, 4]` in pixels, in places of their level: each `[batch, 1, places]`. */
export function edgesInPlaces(g: GraphBuilder, box: Value, stride: Value): Edges {
  const parts = g.Split(g.Transpose(box, [0, 2, 1]), [1, 1, 1, 1], 1);
  const [cx, cy, width, height] = parts.map((part) => g.Div(part, stride)) as [Value, Value, Value, Value];
  const [halfWidth, halfHeight] = [g.Mul(width, 0.5), g.Mul(height, 0.5)];
  return {
    left: g.Sub(cx, halfWidth),
    top: g.Sub(cy, halfHeight),
    right: g.Add(cx, halfWidth),
    bottom: g.Add(cy, halfHeight),
  };
}

/** 1 at the class of each place's object, else 0: `[batch, places, classes]`. */
export function oneHot(g: GraphBuilder, label: Value, classes: number): Value {
  const numbers = g.constant(int64(Array.from({ length: classes }, (_, i) => i), [1, 1, classes])); // prettier-ignore
  return g.Cast(g.Equal(label, numbers), dataTypeNumber('float32'));
}

/** The sum of all numbers. */
export function total(g: GraphBuilder, value: Value): Value {
  return g.ReduceSum(value, value.shape!.map((_, i) => i), false); // prettier-ignore
}

/** The same change of all four edges. */
export function mapEdges({ left, top, right, bottom }: Edges, change: (edge: Value) => Value): Edges {
  return { left: change(left), top: change(top), right: change(right), bottom: change(bottom) };
}
