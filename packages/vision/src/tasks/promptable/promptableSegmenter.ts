/** @file The masks of one prompt in many image files, for the command line. */

import { stack } from '@onnx-lora/sdk';
import type { Processor, TaskModel } from '@onnx-lora/sdk/tasks';
import { formatCocoCounts, encodeRle } from '../../data/shapes/rle.ts';
import { indexedPng } from '../../image/indexedPng.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import { FedImages, type ImageReading } from '../imageReading.ts';
import { cutLogits, logitsOfImage, masksOf, type PromptMasks } from './imageMask.ts';
import { type MaskChoice, openSamImages, samPorts } from './samPorts.ts';
import { type Prompt, promptFeeds, promptToInput } from './prompt.ts';

/** What a segmenter is made with. */
export interface PromptableSegmenterOptions extends Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** The same for all files. */
  readonly prompt: Prompt;
  /** Which masks a prompt is answered with; `several` by default. */
  readonly masks?: MaskChoice | undefined;
}

/**
 * Answers with the mask that the decoder thinks best, at the size of the image: `score`, `area` in pixels, `mask` as a PNG file
 * in black and white, and `rle` as COCO writes masks. Outputs are decoded with the feeds that gave them.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no SAM
 */
export async function promptableSegmenter(
  model: TaskModel,
  { prompt, masks, ...reading }: PromptableSegmenterOptions,
): Promise<Processor> {
  const ports = samPorts(model, masks);
  // Each image is looked at once.
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

/** The mask of a prompt. */
export type MaskPrediction = Readonly<{
  /** The model's own estimate of the mask's overlap with the object, 0 to 1. */
  score: number;
  /** Pixels inside. */
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
