/** @file Compares tensors with graph inputs. */

import type { Tensor } from '@onnx-lora/sdk';
import type { GraphPort } from '@onnx-lora/sdk/tasks';

/** Mismatches between a tensor and a port; a symbolic dimension accepts any size. */
export function portProblems(what: string, { type, dims }: Tensor, port: GraphPort): string[] {
  if (type !== port.type) return [`${what} is ${type}, but the input takes ${port.type}`];
  const fits =
    !port.dims ||
    (port.dims.length === dims.length && port.dims.every((size, i) => typeof size === 'string' || size === dims[i]));
  return fits ? [] : [`${what} has shape [${dims.join(', ')}], but the input takes [${port.dims?.join(', ')}]`];
}

/** The first number that is not finite, as a problem. */
export function valueProblems(what: string, { type, data }: Tensor): string[] {
  const isFloat = type === 'float32' || type === 'float64';
  const at = isFloat ? (data as Float32Array).findIndex((each) => !Number.isFinite(each)) : -1;
  return at < 0 ? [] : [`${what} holds ${String(data[at])} at ${at}`];
}
