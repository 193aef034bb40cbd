/** @file The head that answers: the model's own where it knows the labels, or a new one. */

import { type NewHead, OnnxLoraError, type TaskModel } from '@onnx-lora/sdk';
import { checkLabels, knownLabels, matchLabels } from '../modelLabels.ts';
import type { HeadPort, ImagePorts } from './imagePorts.ts';

/** Where answers come from. */
export interface TaskHead {
  /** The graph output with one number per label. */
  readonly output: string;
  /** What the numbers stand for, in their order. */
  readonly labels: readonly string[];
  /** The head to make, where it is not the model's own. */
  readonly head?: NewHead;
}

/**
 * The head for labels of these names.
 *
 * @param root what the data is called
 * @throws OnnxLoraError `DATA_INVALID` where the model's own head is to answer and does not know the labels, or knows most of
 *   them but not all; `MODEL_UNSUPPORTED` where it has neither a head nor features
 */
export function headFor(
  model: TaskModel,
  { head: own }: ImagePorts,
  names: readonly string[],
  { root, mode }: { readonly root: string; readonly mode: 'auto' | 'new' | 'keep' },
): TaskHead {
  if (!own) {
    if (mode === 'keep') throw noHead(model, `It has no head of its own, and head: 'keep' allows no other`);
    return attached(model, names);
  }
  if (mode !== 'new') {
    const labels = knownLabels(model, names, own.outputs);
    if (labels) return { output: own.output, labels: checkLabels(model, names, labels) };
    // Where most are known, the others may be misspelt.
    if (mode === 'keep' || mayBeMisspelt(model, names, own)) matchLabels(model, names, own.outputs, root);
  }
  return replaced(own, names);
}

/** A head for these labels in the place of the model's own. */
export function replaced({ output }: HeadPort, labels: readonly string[]): TaskHead {
  return { output, labels, head: { output, labels } };
}

function mayBeMisspelt(model: TaskModel, names: readonly string[], { outputs }: HeadPort): boolean {
  const known = names.filter((name) => knownLabels(model, [name], outputs) !== undefined);
  return known.length * 2 > names.length;
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

function noHead(model: TaskModel, reason: string): OnnxLoraError {
  const outputs = Object.entries(model.outputs).map(([name, { dims }]) => `"${name}" [${dims?.join(', ') ?? '?'}]`);
  return new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${model.name}" cannot answer about images: ${reason}; its outputs are ${outputs.join(', ')}. Export the model with "logits", or with "last_hidden_state" or "pooler_output".`,
  );
}
