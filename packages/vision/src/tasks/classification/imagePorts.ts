/** @file Finds the image input and the head's output among the inputs and outputs of a graph, or makes the head. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type GraphPort,
  type HeadPort,
  listedPorts,
  shownPort,
  type TaskModel,
  type NewHead,
  noHead,
  type TaskHead,
} from '@onnx-lora/sdk/tasks';
import { imagePort } from '../imagePort.ts';

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
  const { length } = Object.keys(model.inputs);
  if (length > 1) {
    throw unsupported(
      model,
      `it has ${length} inputs (${listedPorts(model.inputs)}), and this task feeds one image input only. Export the image part alone`,
    );
  }
  const { name: input, ...port } = imagePort(model);
  const found = scoresOutput(model);
  return { input, ...(found && { head: { output: found.name, outputs: countOf(model, found) } }), ...port };
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

/** Models whose pooled output is part of what was pre-trained, and what classifiers of transformers read. */
const pooled: ReadonlySet<unknown> = new Set([
  'beit', 'convnext', 'convnextv2', 'data2vec-vision', 'mobilevit', 'mobilevitv2', 'poolformer', 'regnet', 'resnet', 'swin',
  'swinv2',
]); // prettier-ignore

/**
 * A head on the features of a model without one, which reads what transformers' classifier of that family reads: of DINOv2
 * the class token and the mean of patches, of CLIP the mean of patches, of SigLIP the mean of all tokens, of convolutional
 * networks the pooled map, else the class token.
 *
 * @see transformers, `Dinov2ForImageClassification`, `CLIPForImageClassification`, `SiglipForImageClassification`,
 *   `ViTForImageClassification`, `ConvNextForImageClassification`
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`
 */
export function attached(model: TaskModel, labels: readonly string[]): TaskHead {
  const type = model.config?.['model_type'];
  const registers = model.config?.['num_register_tokens'];
  const skip = 1 + (typeof registers === 'number' ? registers : 0);
  const { last_hidden_state: states, pooler_output: pooler } = model.outputs;
  const on = (output: string, attach: NonNullable<NewHead['attach']>): TaskHead => ({
    output: 'logits',
    labels,
    head: { output, labels, attach },
  });
  if (pooler && pooled.has(type)) return on('pooler_output', { pool: 'all' });
  if (states?.dims?.length === 3) {
    if (typeof type === 'string' && /^dinov[23]/.test(type)) return on('last_hidden_state', { pool: 'first-and-mean', skip }); // prettier-ignore
    if (type === 'clip_vision_model' || type === 'clip') return on('last_hidden_state', { pool: 'mean', skip: 1 });
    if (typeof type === 'string' && type.startsWith('siglip')) return on('last_hidden_state', { pool: 'mean' });
    if (typeof type === 'string' && type.startsWith('swin')) return on('last_hidden_state', { pool: 'mean' });
    return on('last_hidden_state', { pool: 'first' });
  }
  const flat = Object.entries(model.outputs).find(([, { dims }]) => dims?.length === 2 || dims?.length === 4);
  if (flat) return on(flat[0], { pool: 'all' });
  throw noHead(model, 'It gives neither scores nor features of an image');
}
