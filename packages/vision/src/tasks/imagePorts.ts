/** @file Ports of image models and checks of their feeds: the image input, and the head's output or a new head. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type GraphPort,
  describedPorts,
  type TaskModel,
  type HeadPort,
  describedPort,
  type NewHead,
  missingHeadError,
  type TaskHead,
} from '@onnx-lora/sdk/tasks';
import type { Size } from '../preprocess/imagePlan.ts';

/** The image input. */
export interface ImagePort {
  /** Float32 `[batch, 3, height, width]`. */
  readonly name: string;
  readonly batch?: number;
}

/** The only float32 input `[batch, 3, height, width]`. @throws OnnxLoraError `MODEL_UNSUPPORTED` with the inputs */
export function imagePort(model: TaskModel): ImagePort {
  const found = Object.entries(model.inputs).filter(([, port]) => takesImages(port));
  const [first, second] = found;
  if (!first || second) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" takes no single batch of images as float32 [batch, 3, height, width] (its inputs: ${describedPorts(model.inputs)}). Use the float32 file of a vision model, channels first.`,
    );
  }
  const [name, { dims }] = first;
  const batch = dims?.[0];
  return { name, ...(typeof batch === 'number' && { batch }) };
}

function takesImages({ type, dims }: GraphPort): boolean {
  const channels = dims?.[1];
  // A port without a shape may be an image's.
  return type === 'float32' && (!dims || (dims.length === 4 && (typeof channels !== 'number' || channels === 3)));
}

/** Checks that images of `size` fit the input. @throws OnnxLoraError `CONFIG_INVALID`, naming the file at `path` */
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

/** Checks a batch against the graph's fixed size. @throws OnnxLoraError `INPUT_INVALID`, naming the size */
export function checkBatch(model: TaskModel, { batch }: Pick<ImagePort, 'batch'>, images: number): void {
  if (batch === undefined || batch === images) return;
  throw new OnnxLoraError(
    'INPUT_INVALID',
    `"${model.name}" takes batches of exactly ${batch}, but this one has ${images} images. Set the batch size to ${batch}, or export the model with a dynamic batch.`,
  );
}

export interface ImagePorts {
  /** Name of the input, float32 `[batch, 3, height, width]`. */
  readonly input: string;
  readonly head?: HeadPort;
  readonly batch?: number;
}

/** Outputs of features, whatever their shape. */
const features = /hidden_state|pooler|pooled|embed|feature/;

/**
 * The image input, and the scores: `logits`, or the only 2D output not named a feature. @throws OnnxLoraError
 * `MODEL_UNSUPPORTED`
 */
export function imagePorts(model: TaskModel): ImagePorts {
  const { length } = Object.keys(model.inputs);
  if (length > 1) {
    throw unsupported(
      model,
      `it has ${length} inputs (${describedPorts(model.inputs)}), and this task feeds one image input only. Export the image part alone`,
    );
  }
  const { name: input, ...port } = imagePort(model);
  const found = scoresOutput(model);
  return { input, ...(found && { head: { output: found.name, outputs: countOf(model, found) } }), ...port };
}

/** The ports of a model that needs a head. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
export function headPorts(model: TaskModel): ImagePorts & { readonly head: HeadPort } {
  const { head, ...rest } = imagePorts(model);
  if (head) return { ...rest, head };
  throw unsupported(
    model,
    `it has no output "logits" [batch, classes] (it has ${describedPorts(model.outputs)}). Name the adapter that brings its head, or export it with one`,
  );
}

function countOf(model: TaskModel, { name, port }: NamedPort): number {
  const outputs = port.dims?.[1] ?? configuredClasses(model);
  if (typeof outputs === 'number' && outputs >= 1) return outputs;
  throw unsupported(
    model,
    `its output "${name}" ${describedPort(port)} does not say how many classes there are. Export it with a fixed number of classes`,
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

/** Models with a pre-trained pooled output, which transformers' classifiers read. */
const pooled: ReadonlySet<unknown> = new Set([
  'beit', 'convnext', 'convnextv2', 'data2vec-vision', 'mobilevit', 'mobilevitv2', 'poolformer', 'regnet', 'resnet', 'swin',
  'swinv2',
]); // prettier-ignore

/**
 * A new head on the features that transformers' classifier of the family reads: class token and mean of patches for
 * DINOv2, mean of patches for CLIP, mean of all tokens for SigLIP, the pooled map for convolutional networks, else the
 * class token.
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
  throw missingHeadError(model, 'It gives neither scores nor features of an image');
}
