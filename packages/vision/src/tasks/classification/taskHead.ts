/** @file The head that answers about images: the model's own where it knows the labels, or a new one. */

import { chooseHead, type NewHead, noHead, type TaskHead, type TaskModel } from '@onnx-lora/sdk/tasks';
import type { ImagePorts } from './imagePorts.ts';

/**
 * The head for labels of these names.
 *
 * @param root what the data is called
 * @throws OnnxLoraError as `chooseHead` of the SDK
 */
export function headFor(
  model: TaskModel,
  { head }: ImagePorts,
  names: readonly string[],
  choice: { readonly root: string; readonly mode: 'auto' | 'new' | 'keep' },
): TaskHead {
  return chooseHead(model, head, names, { ...choice, attach: attached });
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
