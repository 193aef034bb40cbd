/** @file An encoded image that answers prompts, and SAM's automatic masks. @see arXiv:2304.02643, appendix B */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import type { Box } from '../../data/imageRecord.ts';
import { boxOfMask } from '../../data/shapes/masks.ts';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import { cutLogits, logitsOfImage, type MaskLogits, type PromptMasks } from './imageMask.ts';
import { type InputPrompt, type Prompt, promptToInput } from './prompt.ts';

/** The answer to one prompt. */
export interface PromptAnswer {
  /** A mask of the image's size for each meaning of the prompt: a whole, a part, a subpart. */
  readonly masks: readonly Mask[];
  /** The model's estimate of each mask's IoU. */
  readonly scores: readonly number[];
  /** Index of the highest score. */
  readonly best: number;
  /** The decoder's logits, usable as a prompt's `mask`. */
  readonly logits: readonly MaskLogits[];
}

export interface PromptableImageRequest {
  readonly name: string;
  readonly geometry: Geometry;
  readonly isPadded: boolean;
  readonly promptsAtOnce: number;
  readonly decode: (prompts: readonly InputPrompt[]) => Promise<(image: 0, prompt: number) => PromptMasks>;
}

/** An encoded image, usable until its predictor is released. */
export class PromptableImage {
  readonly #request: PromptableImageRequest;

  /** @hidden */
  constructor(request: PromptableImageRequest) {
    this.#request = request;
  }

  /** Size of the image. */
  get size(): Size {
    const { height, width } = this.#request.geometry.input;
    return { height, width };
  }

  /**
   * Masks of one object.
   * @throws OnnxLoraError `INPUT_INVALID` for an empty prompt, or one without an input in the model
   */
  async predict(prompt: Prompt): Promise<PromptAnswer> {
    const [answer] = await this.predictAll([prompt]);
    return answer!;
  }

  /**
   * Masks of many objects, decoded in batches.
   * @throws OnnxLoraError as {@link PromptableImage.predict}
   */
  async predictAll(prompts: readonly Prompt[]): Promise<PromptAnswer[]> {
    const { geometry, isPadded } = this.#request;
    const found = await this.#decode(prompts);
    return found.map(({ logits, scores, best }) => ({
      masks: logits.map((each) => ({ ...this.size, data: cutLogits(logitsOfImage(each, geometry, { isPadded })) })),
      scores,
      best,
      logits,
    }));
  }

  /**
   * Masks of everything: prompts with a grid of points, and keeps confident, stable and distinct masks, as
   * transformers' pipeline `mask-generation`. Best first.
   * @throws OnnxLoraError `CONFIG_INVALID`, naming the option; `INPUT_INVALID` for a model without point prompts
   */
  generateMasks(options: GenerateMasksOptions = {}): Promise<FoundMask[]> {
    const { geometry, isPadded } = this.#request;
    return generateMasks(this.size, options, {
      decode: (prompts) => this.#decode(prompts),
      enlarge: (logits) => logitsOfImage(logits, geometry, { isPadded }),
    });
  }

  async #decode(prompts: readonly Prompt[]): Promise<PromptMasks[]> {
    const { geometry, name, promptsAtOnce, decode } = this.#request;
    const inputs = prompts.map((prompt) => promptToInput(prompt, geometry, name));
    const all: PromptMasks[] = [];
    for (let start = 0; start < inputs.length; start += promptsAtOnce) {
      const some = inputs.slice(start, start + promptsAtOnce);
      const found = await decode(some);
      all.push(...some.map((_, i) => found(0, i)));
    }
    return all;
  }
}

/** Options of automatic masks; the defaults are SAM's, as in transformers. */
export interface GenerateMasksOptions {
  /** Points along each side of the grid; 32 by default. */
  readonly pointsPerSide?: number;
  /** Points per decoder run; 64 by default. */
  readonly pointsPerBatch?: number;
  /** Least estimated IoU (exclusive); 0.88 by default. */
  readonly predIouThreshold?: number;
  /** Least stability (exclusive) against shifts of the threshold; 0.95 by default. */
  readonly stabilityThreshold?: number;
  /** Shift of the threshold to both sides for the stability; 1 by default. */
  readonly stabilityOffset?: number;
  /** IoU of two boxes above which the worse mask is dropped; 0.7 by default. */
  readonly boxNms?: number;
  /** Least area in pixels; 0 by default. */
  readonly minArea?: number;
}

/** A generated mask. */
export interface FoundMask {
  /** In the image's size. */
  readonly mask: Mask;
  /** The model's estimate of its IoU. */
  readonly score: number;
  /** Share of its pixels that remain when the threshold is shifted. */
  readonly stability: number;
  /** Its bounding box. */
  readonly box: Box;
  /** Its area in pixels. */
  readonly area: number;
}

/** Makes masks of prompts. */
export interface MaskMaker {
  readonly decode: (prompts: readonly Prompt[]) => Promise<PromptMasks[]>;
  readonly enlarge: (logits: MaskLogits) => MaskLogits;
}

/** Prompts with a grid of points, and filters the masks. @throws OnnxLoraError `CONFIG_INVALID`, naming the option */
async function generateMasks(
  size: Size,
  options: GenerateMasksOptions,
  { decode, enlarge }: MaskMaker,
): Promise<FoundMask[]> {
  const { pointsPerSide = 32, pointsPerBatch = 64, boxNms = 0.7 } = options;
  const { predIouThreshold = 0.88, stabilityThreshold = 0.95, stabilityOffset = 1, minArea = 0 } = options;
  for (const [name, value] of Object.entries({ pointsPerSide, pointsPerBatch })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new OnnxLoraError('CONFIG_INVALID', `${name} must be a whole number of at least 1, but it is ${value}.`);
  }
  const prompts = gridOf(pointsPerSide, size);
  const found: FoundMask[] = [];
  for (let start = 0; start < prompts.length; start += pointsPerBatch) {
    for (const { logits, scores } of await decode(prompts.slice(start, start + pointsPerBatch))) {
      for (const [i, score] of scores.entries()) {
        if (score <= predIouThreshold) continue;
        const large = enlarge(logits[i]!);
        const stability = stabilityOf(large, stabilityOffset);
        if (!(stability > stabilityThreshold)) continue;
        const mask = { ...size, data: cutLogits(large) };
        const box = boxOfMask(mask);
        const area = mask.data.reduce((sum, each) => sum + each, 0);
        if (box && area >= minArea) found.push({ mask, score, stability, box, area });
      }
    }
  }
  return withoutOverlaps(found, boxNms);
}

/** Centres of a grid's cells, row by row. */
function gridOf(side: number, { height, width }: Size): Prompt[] {
  const at = (i: number): number => (i + 0.5) / side;
  return Array.from({ length: side * side }, (_, i) => ({
    points: [[at(i % side) * width, at(Math.floor(i / side)) * height] as const],
  }));
}

/** Pixels above the higher threshold by those above the lower one; NaN for none. */
function stabilityOf({ data }: MaskLogits, offset: number): number {
  let [inner, outer] = [0, 0];
  for (const value of data) {
    if (value > offset) inner++;
    if (value > -offset) outer++;
  }
  return inner / outer;
}

/** Non-maximum suppression by boxes, best first. @see torchvision's `nms` */
function withoutOverlaps(found: readonly FoundMask[], threshold: number): FoundMask[] {
  const kept: FoundMask[] = [];
  for (const each of [...found].sort((a, b) => b.score - a.score)) {
    if (!kept.some(({ box }) => boxOverlap(box, each.box) > threshold)) kept.push(each);
  }
  return kept;
}

/** IoU of two boxes by first and last pixel, as in transformers here: a box of one pixel has no area. */
function boxOverlap([ax0, ay0, ax1, ay1]: Box, [bx0, by0, bx1, by1]: Box): number {
  const side = (from: number, to: number): number => Math.max(0, to - 1 - from);
  const both = side(Math.max(ax0, bx0), Math.min(ax1, bx1)) * side(Math.max(ay0, by0), Math.min(ay1, by1));
  const either = side(ax0, ax1) * side(ay0, ay1) + side(bx0, bx1) * side(by0, by1) - both;
  return both / either;
}
