/** @file Where images and texts go into a graph with two towers, and what comes out. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { imagePort, type ImagePort } from '../../imagePort.ts';
import { isSiglip } from '../modelType.ts';

/** What CLIP's cosines are multiplied by where a graph of two files has lost its `logit_scale`: to what CLIP's came. */
export const usualScale = 100;

/** Inputs and outputs of a model of images and texts. */
export interface ImageTextPorts {
  readonly image: ImagePort;
  /** Token ids, `[texts, length]`, and whether they are int32. */
  readonly ids: { readonly name: string; readonly type: 'int64' | 'int32'; readonly length?: number };
  /** 1 for a token, 0 for filling; absent where the graph does not ask. */
  readonly mask?: { readonly name: string; readonly type: 'int64' | 'int32' };
  /** Scaled similarities `[images, texts]`, where the graph gives them. */
  readonly logits?: string;
  readonly imageEmbeds: string;
  readonly textEmbeds: string;
  /** Whether each pair is a question of its own (SigLIP), or texts compete for an image (CLIP). */
  readonly sigmoid: boolean;
}

/**
 * Checks that the graph has both towers.
 *
 * @throws OnnxLoraError `MODEL_UNSUPPORTED`, with what the graph has
 */
export function imageTextPorts(model: TaskModel): ImageTextPorts {
  const image = imagePort(model);
  const ids = model.inputs['input_ids'];
  const mask = model.inputs['attention_mask'];
  const has = (name: string): boolean => name in model.outputs;
  const strange = Object.keys(model.inputs).filter(
    (name) => ![image.name, 'input_ids', 'attention_mask'].includes(name),
  );
  if (!isInteger(ids?.type) || strange.length > 0 || !has('image_embeds') || !has('text_embeds')) {
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
