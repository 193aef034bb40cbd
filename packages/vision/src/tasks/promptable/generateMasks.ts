/**
 * @file Masks of all objects in an image, from a grid of points: transformers' pipeline `mask-generation` without crops.
 * @see Kirillov et al., "Segment Anything" (2023), arXiv:2304.02643, appendix B
 */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Mask } from '../../augment/sample.ts';
import type { Box } from '../../data/imageRecord.ts';
import { boxOfMask } from '../../data/shapes/masks.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import { cutLogits, type MaskLogits, type PromptMasks } from './imageMask.ts';
import type { Prompt } from './prompt.ts';

/** Which masks are made and kept. The defaults are transformers', which are SAM's. */
export interface GenerateMasksOptions {
  /** Points along each side of the grid; 32 by default. */
  readonly pointsPerSide?: number;
  /** Points that are asked for together; 64 by default. */
  readonly pointsPerBatch?: number;
  /** Masks are kept whose estimated IoU is above this; 0.88 by default. */
  readonly predIouThreshold?: number;
  /** Masks are kept whose stability is above this: how little they change with the cut; 0.95 by default. */
  readonly stabilityThreshold?: number;
  /** How far the cut is moved to both sides for the stability; 1 by default. */
  readonly stabilityOffset?: number;
  /** Of two masks whose boxes have a larger IoU than this, the better is kept; 0.7 by default. */
  readonly boxNms?: number;
  /** Masks with fewer pixels are left out; 0 by default. */
  readonly minArea?: number;
}

/** One object that was found. */
export interface FoundMask {
  /** Of the image's size. */
  readonly mask: Mask;
  /** The model's estimate of the mask's IoU. */
  readonly score: number;
  /** The part of its pixels that stay when the cut is moved. */
  readonly stability: number;
  /** The box around its pixels. */
  readonly box: Box;
  /** Its pixels. */
  readonly area: number;
}

/** What makes masks of prompts. */
export interface MaskMaker {
  readonly decode: (prompts: readonly Prompt[]) => Promise<PromptMasks[]>;
  /** Logits of the image's size. */
  readonly enlarge: (logits: MaskLogits) => MaskLogits;
}

/**
 * Prompts with every point of the grid, and keeps what is good.
 *
 * @throws OnnxLoraError `CONFIG_INVALID`, naming the option
 */
export async function generateMasks(
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

/** The middle of each cell of a grid, row by row. */
function gridOf(side: number, { height, width }: Size): Prompt[] {
  const at = (i: number): number => (i + 0.5) / side;
  return Array.from({ length: side * side }, (_, i) => ({
    points: [[at(i % side) * width, at(Math.floor(i / side)) * height] as const],
  }));
}

/** Pixels above the higher cut in parts of those above the lower one. NaN where there are none. */
function stabilityOf({ data }: MaskLogits, offset: number): number {
  let [inner, outer] = [0, 0];
  for (const value of data) {
    if (value > offset) inner++;
    if (value > -offset) outer++;
  }
  return inner / outer;
}

/** Best first; each mask drops those after it whose box is nearly its own. @see torchvision's `nms` */
function withoutOverlaps(found: readonly FoundMask[], threshold: number): FoundMask[] {
  const kept: FoundMask[] = [];
  for (const each of [...found].sort((a, b) => b.score - a.score)) {
    if (!kept.some(({ box }) => boxOverlap(box, each.box) > threshold)) kept.push(each);
  }
  return kept;
}

/** IoU of two boxes by their first and last pixels, as transformers counts them here: a box of one pixel has no area. */
function boxOverlap([ax0, ay0, ax1, ay1]: Box, [bx0, by0, bx1, by1]: Box): number {
  const side = (from: number, to: number): number => Math.max(0, to - 1 - from);
  const both = side(Math.max(ax0, bx0), Math.min(ax1, bx1)) * side(Math.max(ay0, by0), Math.min(ay1, by1));
  const either = side(ax0, ax1) * side(ay0, ay1) + side(bx0, bx1) * side(by0, by1) - both;
  return both / either;
}
