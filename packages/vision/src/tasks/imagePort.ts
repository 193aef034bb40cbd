/** @file Finds the input of a graph that takes images, and checks what is fed to it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type GraphPort, listedPorts, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { Size } from '../preprocess/imagePlan.ts';

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
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" takes no single batch of images as float32 [batch, 3, height, width] (its inputs: ${listedPorts(model.inputs)}). Use the float32 file of a vision model, channels first.`,
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

/**
 * Checks that images of `size` fit the graph's input.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, naming the preprocessor's file at `path`
 */
export function checkImageSize(model: TaskModel, input: string, size: Size | undefined, path: string): void {
  const [, , height, width] = model.inputs[input]?.dims ?? [];
  const fits =
    !size ||
    ((typeof height !== 'number' || height === size.height) && (typeof width !== 'number' || width === size.width));
  if (fits) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${path}" makes images of ${size.height} x ${size.width} (height x width), but the input "${input}" of "${model.name}" takes ${height} x ${width}. Take the preprocessor's file that was published with this model.`,
  );
}

/**
 * Checks a batch against a graph that takes one size only.
 *
 * @throws OnnxLoraError `INPUT_INVALID`, naming the size
 */
export function checkBatch(model: TaskModel, { batch }: Pick<ImagePort, 'batch'>, images: number): void {
  if (batch === undefined || batch === images) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `"${model.name}" takes batches of exactly ${batch}, but this one has ${images} images. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
  );
}
