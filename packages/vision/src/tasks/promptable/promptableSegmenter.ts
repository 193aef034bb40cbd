/** @file The processor of one prompt for many image files. */

import { stack } from '@onnx-lora/sdk';
import type { Processor, TaskModel } from '@onnx-lora/sdk/tasks';
import { formatCocoCounts, encodeRle } from '../../data/shapes/outlines.ts';
import { indexedPng } from '../../image/imageFile.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import { FedImages, type ImageReading } from '../imageTask.ts';
import { cutLogits, logitsOfImage, masksOf, type PromptMasks } from './imageMask.ts';
import { type MaskChoice, openSamImages, samPorts } from './samPorts.ts';
import { type Prompt, promptFeeds, promptToInput } from './prompt.ts';

/** Options of the segmenter. */
export interface PromptableSegmenterOptions extends Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** The prompt for all files. */
  readonly prompt: Prompt;
  /** Answers per prompt; `several` by default. */
  readonly masks?: MaskChoice | undefined;
}

/**
 * Predicts the best mask at image size: `score`, `area` in pixels, `mask` as a black and white PNG, and `rle` in COCO's
 * form. Outputs are decoded with their own feeds.
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` for a model that is no SAM
 */
export async function promptableSegmenter(
  model: TaskModel,
  { prompt, masks, ...reading }: PromptableSegmenterOptions,
): Promise<Processor> {
  const ports = samPorts(model, masks);
  // Each image is read once.
  const { images: loader, preprocessor } = await openSamImages(model, { ...reading, cacheBytes: 0 });
  const isPadded = preprocessor.plan.pad !== undefined;
  const fed = new FedImages();
  return {
    outputs: ports.inner,
    feeds: async (files) => {
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      const prompts = images.map(({ geometry }, i) => [promptToInput(prompt, geometry, files[i]!)]);
      const pixels = stack(images.map((image) => image.pixels));
      return fed.note({ [ports.pixels]: pixels, ...promptFeeds(prompts, ports, model.name) }, images);
    },
    decode: (outputs, inputs) => {
      const found = masksOf(outputs, ports);
      const geometries = fed.of(inputs, outputs[ports.masks]!.dims[0]!);
      return geometries.map((geometry, i) => answer(found(i, 0), geometry, isPadded));
    },
  };
}

/** A predicted mask. */
export type MaskPrediction = Readonly<{
  /** The model's estimate of the IoU, 0 to 1. */
  score: number;
  /** Its area in pixels. */
  area: number;
  /** A PNG in black and white. */
  mask: Uint8Array;
  /** COCO's compressed run-length encoding; `size` is `[height, width]`. */
  rle: { readonly size: readonly [number, number]; readonly counts: string };
}>;

function answer({ logits, scores, best }: PromptMasks, geometry: Geometry, isPadded: boolean): MaskPrediction {
  const { width, height } = geometry.input;
  const mask = { width, height, data: cutLogits(logitsOfImage(logits[best]!, geometry, { isPadded })) };
  return {
    score: scores[best]!,
    area: mask.data.reduce((sum, each) => sum + each, 0),
    mask: indexedPng(mask, (number) => (number === 0 ? [0, 0, 0] : [255, 255, 255])),
    rle: { size: [height, width], counts: formatCocoCounts(encodeRle(mask).counts) },
  };
}
