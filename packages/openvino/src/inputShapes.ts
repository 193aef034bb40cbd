/** @file The sizes that a graph is compiled for. */

import { encodeModel } from '@onnx-lora/sdk/core';
import type { ModelProto } from '@onnx-lora/sdk/plugin';

/** Sizes of inputs, by name; -1 is one that changes between runs. */
export type InputShapes = ReadonlyMap<string, readonly number[]>;

/**
 * The graph with these sizes declared. OpenVINO's C API could set them after reading, but it makes a scalar a vector.
 */
export function encodedWith(model: ModelProto, shapes: InputShapes): Uint8Array {
  const input = (model.graph?.input ?? []).map((info) => {
    const shape = shapes.get(info.name!);
    if (!shape) return info;
    const dim = shape.map((size) => (size === -1 ? {} : { dimValue: size }));
    return { ...info, type: { tensorType: { ...info.type?.tensorType, shape: { dim } } } };
  });
  return Buffer.concat(encodeModel({ ...model, graph: { ...model.graph, input } }) as Uint8Array[]);
}

/** Whether these sizes are among those of a shape of as many dimensions. */
export function fits(shape: readonly number[], dims: readonly number[]): boolean {
  return shape.every((size, i) => size === -1 || size === dims[i]);
}

/** A shape with -1 where the sizes are others. */
export function merged(shape: readonly number[] | undefined, dims: readonly number[]): readonly number[] {
  return shape === undefined ? dims : dims.map((size, i) => (shape[i] === size ? size : -1));
}
