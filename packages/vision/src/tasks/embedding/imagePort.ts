/** @file Finds the input of a graph that takes images. */

import { type GraphPort, OnnxLoraError, type TaskModel } from '@onnx-lora/sdk';

/** Where images go in. */
export interface ImagePort {
  /** Float32 `[batch, 3, height, width]`. */
  readonly name: string;
  /** The batch size the graph insists on, where it does. */
  readonly batch?: number;
}

/**
 * The only float32 input `[batch, 3, height, width]`; inputs of other kinds, such as token ids, may stand beside it.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function imagePort(model: TaskModel): ImagePort {
  const found = Object.entries(model.inputs).filter(([, port]) => takesImages(port));
  const [first, second] = found;
  if (!first || second) {
    const inputs = Object.entries(model.inputs).map(
      ([name, { type, dims }]) => `"${name}" ${type} [${dims?.join(', ') ?? '?'}]`,
    );
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" takes no single batch of images as float32 [batch, 3, height, width] (its inputs: ${inputs.join(', ') || 'none'}). Use the float32 file of a vision model, channels first.`,
    );
  }
  const [name, { dims }] = first;
  const batch = dims?.[0];
  return { name, ...(typeof batch === 'number' && { batch }) };
}

function takesImages({ type, dims }: GraphPort): boolean {
  const channels = dims?.[1];
  // A graph that says nothing of the shape is given the benefit of the doubt.
  return type === 'float32' && (!dims || (dims.length === 4 && (typeof channels !== 'number' || channels === 3)));
}
