/** @file Ports of SAM and its relatives, and their preprocessor. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type GraphPort, quotedNames, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImageReading, type OpenedImages, openImages } from '../imageTask.ts';

export interface SamPorts {
  readonly pixels: string;
  /** float32 `[batch, prompts, points, 2]`, if the graph takes points. */
  readonly points?: string;
  /** int64 `[batch, prompts, points]` */
  readonly labels?: string;
  /** float32 `[batch, prompts, 4]`, if the graph takes boxes. */
  readonly boxes?: string;
  /** float32 `[batch, 1, height, width]`, if the graph takes mask logits. */
  readonly mask?: string;
  /** float32 `[batch, prompts, masks]`: estimated IoU. */
  readonly scores: string;
  /** float32 `[batch, prompts, masks, height, width]`: logits. */
  readonly masks: string;
  /** Inner values among these, to be added to the outputs. */
  readonly inner: readonly string[];
  /** True if only the first mask is meant. */
  readonly isSingle: boolean;
}

/**
 * Masks per prompt. `several`: one per meaning, since a point on a wheel may mean the wheel or the car. `one`: SAM's
 * mask for unambiguous prompts, for data with one kind of object, and prompts of several points or a box.
 */
export type MaskChoice = 'several' | 'one';

/** Finds the inputs of image and prompts, and the outputs. @throws OnnxLoraError `MODEL_UNSUPPORTED` with the ports */
export function samPorts(model: TaskModel, choice: MaskChoice = 'several'): SamPorts {
  const { inputs, outputs } = model;
  const pixels = named(inputs, ['pixel_values']);
  const points = named(inputs, ['input_points']);
  const labels = named(inputs, ['input_labels']);
  const boxes = named(inputs, ['input_boxes']);
  const mask = named(inputs, ['input_masks']);
  const scores = named(outputs, ['iou_scores']);
  const masks = named(outputs, ['pred_masks']);
  if (pixels === undefined || (points === undefined) !== (labels === undefined) || (!points && !boxes)) {
    throw unsupported(
      model,
      `it takes ${quotedNames(Object.keys(inputs), 8)}, and not an image (pixel_values) with points (input_points, input_labels) or boxes (input_boxes). A SAM that is published as two files is opened by the folder that holds both: the vision encoder, and the prompt encoder with the mask decoder`,
    );
  }
  const unknown = Object.keys(inputs).filter((name) => ![pixels, points, labels, boxes, mask].includes(name));
  if (unknown.length > 0)
    throw unsupported(model, `nothing is known to feed its input "${unknown[0]}". Export it without`);
  if (scores === undefined || masks === undefined) {
    throw unsupported(model, `it gives ${quotedNames(Object.keys(outputs), 8)}, and not "pred_masks" and "iou_scores"`);
  }
  if (inputs[pixels]!.type !== 'float32') {
    throw unsupported(
      model,
      `its input "${pixels}" is ${inputs[pixels]!.type}, and images are fed as float32. Use its float32 files`,
    );
  }
  return {
    pixels,
    ...(points !== undefined && labels !== undefined ? { points, labels } : {}),
    ...(boxes === undefined ? {} : { boxes }),
    ...(mask === undefined ? {} : { mask }),
    ...maskPorts(model, { scores, masks }, choice),
  };
}

/** Finds the mask outputs; published graphs compute the mask for unambiguous prompts first, but do not output it. */
export function maskPorts(
  model: TaskModel,
  { scores, masks }: Pick<SamPorts, 'scores' | 'masks'>,
  choice: MaskChoice = 'several',
): Pick<SamPorts, 'scores' | 'masks' | 'inner' | 'isSingle'> {
  if (choice === 'several') return { scores, masks, inner: [], isSingle: false };
  const [allScores, allMasks] = [model.slicedFrom?.(scores), model.slicedFrom?.(masks)];
  if (allScores === undefined || allMasks === undefined) {
    throw unsupported(
      model,
      `its single mask is not there: the output "${masks}" is not cut from all masks. Take several masks, or export the model with multimask_output=True`,
    );
  }
  return { scores: allScores, masks: allMasks, inner: [allScores, allMasks], isSingle: true };
}

function named(ports: Readonly<Record<string, GraphPort>>, names: readonly string[]): string | undefined {
  return names.find((name) => name in ports);
}

function unsupported(model: TaskModel, message: string): OnnxLoraError {
  return new OnnxLoraError('MODEL_UNSUPPORTED', `"${model.name}" cannot be prompted for masks: ${message}.`);
}

/** Opens the loader and preprocessor. @throws OnnxLoraError `CONFIG_INVALID` without a file, or for another size */
export async function openSamImages(model: TaskModel, reading: ImageReading): Promise<Required<OpenedImages>> {
  const { preprocessor, ...opened } = await openImages(model, 'pixel_values', reading);
  if (!preprocessor) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${opened.path}" is read by a preprocessor of your own, which cannot say where a point of an image ends up. Describe the preprocessing in preprocessor_config.json.`,
    );
  }
  if (preprocessor.outputSize) return { ...opened, preprocessor };
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${opened.path}" makes images of different sizes, and SAM takes one. Set "pad_size" as it was published.`,
  );
}
