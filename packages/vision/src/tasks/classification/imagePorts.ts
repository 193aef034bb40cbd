/** @file Finds the image input and the head's output among the inputs and outputs of a graph. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type GraphPort, type HeadPort, listedPorts, shownPort, type TaskModel } from '@onnx-lora/sdk/tasks';

/** Where images go into a model and answers come out. */
export interface ImagePorts {
  /** Name of the input, float32 `[batch, 3, height, width]`. */
  readonly input: string;
  /** The output that a head gives, where the model has one. */
  readonly head?: HeadPort;
  /** The batch size the graph insists on, where it does. */
  readonly batch?: number;
}

/** Outputs that hold features, whatever their shape. */
const features = /hidden_state|pooler|pooled|embed|feature/;

/**
 * Finds the one float32 image batch that the graph takes, and the scores that it gives: `logits`, or its only output of two
 * dimensions that is not called a feature.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function imagePorts(model: TaskModel): ImagePorts {
  const input = imageInput(model);
  const found = scoresOutput(model);
  const batch = model.inputs[input]!.dims?.[0];
  return {
    input,
    ...(found && { head: { output: found.name, outputs: countOf(model, found) } }),
    ...(typeof batch === 'number' && { batch }),
  };
}

/**
 * The same of a model that must have a head.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function headPorts(model: TaskModel): ImagePorts & { readonly head: HeadPort } {
  const { head, ...rest } = imagePorts(model);
  if (head) return { ...rest, head };
  throw unsupported(
    model,
    `it has no output "logits" [batch, classes] (it has ${listedPorts(model.outputs)}). Name the adapter that brings its head, or export it with one`,
  );
}

function countOf(model: TaskModel, { name, port }: NamedPort): number {
  const outputs = port.dims?.[1] ?? configuredClasses(model);
  if (typeof outputs === 'number' && outputs >= 1) return outputs;
  throw unsupported(
    model,
    `its output "${name}" ${shownPort(port)} does not say how many classes there are. Export it with a fixed number of classes`,
  );
}

function imageInput(model: TaskModel): string {
  const names = Object.keys(model.inputs);
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw unsupported(
      model,
      `it has ${names.length} inputs (${listedPorts(model.inputs)}), and this task feeds one image input only. Export the image part alone`,
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
      `its input "${name}" ${shownPort(port)} is not a batch of RGB images [batch, 3, height, width]. Export the model from PyTorch, channels first`,
    );
  }
  return name;
}

interface NamedPort {
  readonly name: string;
  readonly port: GraphPort;
}

function scoresOutput(model: TaskModel): NamedPort | undefined {
  const flat = Object.entries(model.outputs).filter(
    ([name, { dims }]) => (dims === undefined || dims.length === 2) && !features.test(name),
  );
  const found = flat.find(([name]) => name === 'logits') ?? (flat.length === 1 ? flat[0] : undefined);
  if (!found) return undefined;
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
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" cannot answer about images: ${message}.`);
}
