/** @file Finds the image input and the class scores among the inputs and outputs of a graph. */

import { type GraphPort, OnnxLoraError, type TaskModel } from '@onnx-lora/sdk';
import type { Size } from '../../preprocess/imagePlan.ts';

/** Where images go into a classifier and scores come out. */
export interface ClassifierPorts {
  /** Name of the input, float32 `[batch, 3, height, width]`. */
  readonly input: string;
  /** Name of the output, float32 `[batch, classes]`. */
  readonly output: string;
  readonly classes: number;
  /** The batch size the graph insists on, where it does. */
  readonly batch?: number;
}

/**
 * Checks that the graph takes one float32 image batch and gives class scores: `logits`, or its only output of two
 * dimensions.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function classifierPorts(model: TaskModel): ClassifierPorts {
  const input = imageInput(model);
  const { name: output, port } = scoresOutput(model);
  const classes = port.dims?.[1] ?? configuredClasses(model);
  if (typeof classes !== 'number' || classes < 1) {
    throw unsupported(
      model,
      `its output "${output}" ${shown(port)} does not say how many classes there are. Export it with a fixed number of classes`,
    );
  }
  const batch = model.inputs[input]!.dims?.[0];
  return { input, output, classes, ...(typeof batch === 'number' && { batch }) };
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

function imageInput(model: TaskModel): string {
  const names = Object.keys(model.inputs);
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw unsupported(
      model,
      `it has ${names.length} inputs (${ports(model.inputs)}), and image classification feeds one image input only. Export the classifier alone`,
    );
  }
  const port = model.inputs[name]!;
  if (port.type !== 'float32') {
    throw unsupported(
      model,
      `its input "${name}" is ${port.type}, and images are fed as float32. Use the float32 file of the model (model.onnx)`,
    );
  }
  const channels = port.dims?.[1];
  // A graph that says nothing of the shape is given the benefit of the doubt.
  if (port.dims && (port.dims.length !== 4 || (typeof channels === 'number' && channels !== 3))) {
    throw unsupported(
      model,
      `its input "${name}" ${shown(port)} is not a batch of RGB images [batch, 3, height, width]. Export the model from PyTorch, channels first`,
    );
  }
  return name;
}

function scoresOutput(model: TaskModel): { name: string; port: GraphPort } {
  const flat = Object.entries(model.outputs).filter(([, port]) => port.dims === undefined || port.dims.length === 2);
  const found = flat.find(([name]) => name === 'logits') ?? (flat.length === 1 ? flat[0] : undefined);
  if (!found) {
    throw unsupported(
      model,
      `it has no output "logits" [batch, classes] (it has ${ports(model.outputs)}). Export it with its classification head`,
    );
  }
  const [name, port] = found;
  if (port.type !== 'float32') {
    throw unsupported(
      model,
      `its output "${name}" is ${port.type}, not float32. Use the float32 file of the model (model.onnx)`,
    );
  }
  return { name, port };
}

function configuredClasses(model: TaskModel): number | undefined {
  const labels = model.config?.['id2label'];
  return typeof labels === 'object' && labels !== null ? Object.keys(labels).length : undefined;
}

function unsupported(model: TaskModel, message: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" cannot classify images: ${message}.`);
}

function ports(all: Readonly<Record<string, GraphPort>>): string {
  const entries = Object.entries(all);
  const text = entries.slice(0, 8).map(([name, port]) => `"${name}" ${shown(port)}`);
  return entries.length === 0 ? 'none' : entries.length > 8 ? `${text.join(', ')} and more` : text.join(', ');
}

function shown({ type, dims }: GraphPort): string {
  return `${type} ${dims ? `[${dims.join(', ')}]` : 'of unknown shape'}`;
}
