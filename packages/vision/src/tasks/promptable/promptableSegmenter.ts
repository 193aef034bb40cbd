/** @file The masks of one prompt in many image files, for the command line. */

import { OnnxLoraError, type OutputPredictor, type Prediction, stack, type TaskModel } from '@onnx-lora/sdk';
import { formatCocoCounts } from '../../data/shapes/cocoCounts.ts';
import { runsOfMask } from '../../data/shapes/runLengths.ts';
import { indexedPng } from '../../image/indexedPng.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { ImageReading } from '../imageReading.ts';
import { cutLogits, logitsOfImage } from './imageMask.ts';
import { masksOf, type PromptMasks } from './masksOf.ts';
import { openSamImages } from './openSamImages.ts';
import { type Prompt, promptToInput } from './prompt.ts';
import { promptFeeds } from './promptFeeds.ts';
import { type MaskChoice, samPorts } from './samPorts.ts';

/** What a segmenter is made with. */
export interface PromptableSegmenterOptions extends Pick<ImageReading, 'decoder' | 'preprocessors'> {
  /** The same for all files. */
  readonly prompt: Prompt;
  readonly masks?: MaskChoice | undefined;
}

/**
 * Answers with the mask that the decoder thinks best, at the size of the image: `score`, `area` in pixels, `mask` as a PNG file
 * in black and white, and `rle` as COCO writes masks. Outputs are decoded in the order in which they were fed.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no SAM
 */
export async function promptableSegmenter(
  model: TaskModel,
  { prompt, masks, ...reading }: PromptableSegmenterOptions,
): Promise<OutputPredictor> {
  const ports = samPorts(model, masks);
  // Each image is looked at once.
  const { images: loader, preprocessor } = await openSamImages(model, { ...reading, cacheBytes: 0 });
  const isPadded = preprocessor.plan.pad !== undefined;
  // Of each batch that has been fed and not yet decoded, the way of its images.
  const fed: Geometry[][] = [];
  return {
    outputs: ports.inner,
    feeds: async (files) => {
      const images = await Promise.all(files.map((image) => loader.load({ image })));
      const prompts = images.map(({ geometry }, i) => [promptToInput(prompt, geometry, files[i]!)]);
      const feeds = promptFeeds(prompts, ports, model.name);
      fed.push(images.map(({ geometry }) => geometry));
      return { [ports.pixels]: stack(images.map(({ pixels }) => pixels)), ...feeds };
    },
    decode: (outputs) => {
      const found = masksOf(outputs, ports);
      const geometries = fed.shift();
      if (!geometries || geometries.length !== outputs[ports.masks]!.dims[0]) {
        throw new OnnxLoraError(
          'INPUT_INVALID',
          'These are not the outputs of the batch that was fed first. Decode each batch once, in the order of feeding.',
        );
      }
      return geometries.map((geometry, i) => answer(found(i, 0), geometry, isPadded));
    },
  };
}

function answer({ logits, scores, best }: PromptMasks, geometry: Geometry, isPadded: boolean): Prediction {
  const { width, height } = geometry.input;
  const mask = { width, height, data: cutLogits(logitsOfImage(logits[best]!, geometry, { isPadded })) };
  return {
    score: scores[best],
    area: mask.data.reduce((sum, each) => sum + each, 0),
    mask: indexedPng(mask, (number) => (number === 0 ? [0, 0, 0] : [255, 255, 255])),
    rle: { size: [height, width], counts: formatCocoCounts(runsOfMask(mask).counts) },
  };
}
