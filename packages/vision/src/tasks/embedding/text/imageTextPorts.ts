/** @file Ports of two-tower models, and the feeds of images and texts. */

import { type Feeds, OnnxLoraError, tensor, type Tensor } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { imagePort, type ImagePort } from '../../imagePorts.ts';
import { type ImageReading, type OpenedImages, openImages } from '../../imageTask.ts';
import { isSiglip } from '../features.ts';
import { rowLength, type TextTokenizer, textTokenizer } from './textTokenizer.ts';

/** CLIP's trained scale, for graphs of two files without `logit_scale`. */
export const usualScale = 100;

export interface ImageTextPorts {
  readonly image: ImagePort;
  /** Token ids `[texts, length]`. */
  readonly ids: { readonly name: string; readonly type: 'int64' | 'int32'; readonly length?: number };
  /** Padding mask: 1 for a token, 0 for padding. */
  readonly mask?: { readonly name: string; readonly type: 'int64' | 'int32' };
  /** Scaled similarities `[images, texts]`, if the graph has them. */
  readonly logits?: string;
  readonly imageEmbeds: string;
  readonly textEmbeds: string;
  /** True for independent pairs (SigLIP), false for texts that compete (CLIP). */
  readonly sigmoid: boolean;
}

/** Finds both towers. @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has */
function imageTextPorts(model: TaskModel): ImageTextPorts {
  const image = imagePort(model);
  const ids = model.inputs['input_ids'];
  const mask = model.inputs['attention_mask'];
  const has = (name: string): boolean => name in model.outputs;
  const unknown = Object.keys(model.inputs).filter(
    (name) => ![image.name, 'input_ids', 'attention_mask'].includes(name),
  );
  if (!isInteger(ids?.type) || unknown.length > 0 || !has('image_embeds') || !has('text_embeds')) {
    const [inputs, outputs] = [Object.keys(model.inputs), Object.keys(model.outputs)].map((names) => names.join(', '));
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${model.name}" does not compare images with texts: it takes ${inputs} and gives ${outputs}, where pixel_values, input_ids and perhaps attention_mask would give image_embeds and text_embeds. Use a CLIP or SigLIP with both towers, in one file or as vision_model.onnx and text_model.onnx in one folder.`,
    );
  }
  const length = ids!.dims?.[1];
  return {
    image,
    ids: { name: 'input_ids', type: ids!.type as 'int64', ...(typeof length === 'number' && { length }) },
    ...(mask && isInteger(mask.type) && { mask: { name: 'attention_mask', type: mask.type as 'int64' } }),
    ...(has('logits_per_image') && { logits: 'logits_per_image' }),
    imageEmbeds: 'image_embeds',
    textEmbeds: 'text_embeds',
    sigmoid: isSiglip(model),
  };
}

function isInteger(type: string | undefined): boolean {
  return type === 'int64' || type === 'int32';
}

/** Ports, image loader and tokenizer of a model. */
export interface OpenedImageText extends OpenedImages {
  readonly ports: ImageTextPorts;
  readonly tokenizer: TextTokenizer;
}

/** Opens a two-tower model. @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID` */
export async function openImageText(model: TaskModel, reading: ImageReading): Promise<OpenedImageText> {
  const ports = imageTextPorts(model);
  const opened = await openImages(model, ports.image.name, reading);
  return { ...opened, ports, tokenizer: await textTokenizer(model) };
}

/** Right-padded texts of at least `least` tokens. @throws OnnxLoraError `INPUT_INVALID` for a text that is too long */
export function textFeeds(
  texts: readonly (readonly number[])[],
  tokenizer: TextTokenizer,
  { ids, mask }: ImageTextPorts,
  least = 1,
): Feeds {
  const needed = Math.max(least, rowLength(tokenizer, texts));
  const length = ids.length ?? needed;
  if (needed > length && texts.some((row) => row.length > length)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A text has ${needed} tokens, but the graph takes rows of exactly ${length}. Shorten the text, or export the model with a dynamic length.`,
    );
  }
  const rows = (value: (row: readonly number[], at: number) => number, type: 'int64' | 'int32'): Tensor => {
    const values = texts.flatMap((row) => Array.from({ length }, (_, at) => value(row, at)));
    const data = type === 'int64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values);
    return tensor(type, data, [texts.length, length]);
  };
  return {
    [ids.name]: rows((row, at) => row[at] ?? tokenizer.pad, ids.type),
    ...(mask && { [mask.name]: rows((row, at) => (at < row.length ? 1 : 0), mask.type) }),
  };
}
