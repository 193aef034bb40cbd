/** @file Prompts, and their feeds. */

import { type Feeds, float32, int64, OnnxLoraError } from '@onnx-lora/sdk';
import type { Box, Point } from '../../data/imageRecord.ts';
import { boxToInput, type Geometry, pointToInput } from '../../preprocess/geometry.ts';
import type { SamPorts } from './samPorts.ts';

/** A prompt for an object, in pixels of the image, as for transformers' `SamProcessor`. */
export interface Prompt {
  /** Points on the object or off it. */
  readonly points?: readonly Point[];
  /** 1 for each point on the object, 0 for one off it; all 1 by default. */
  readonly labels?: readonly (0 | 1)[];
  /** A box around the object. */
  readonly box?: Box;
  /** An earlier answer's logits to refine, `[height, width]` of the decoder, for models with an input for it. */
  readonly mask?: Float32Array;
}

/** A prompt in pixels of the model's input. */
export interface InputPrompt {
  /** Points on the object or off it. */
  readonly points: readonly Point[];
  /** 1 for each point on the object, 0 for one off it. */
  readonly labels: readonly number[];
  /** A box around the object. */
  readonly box?: Box;
  /** Logits of an earlier answer, `[height, width]`. */
  readonly mask?: Float32Array;
}

const NO_POINT = -10;

/**
 * Scales a prompt to the model's input, in double precision as `SamProcessor`.
 * @param name of the image, for messages
 * @throws OnnxLoraError `INPUT_INVALID` for an empty prompt, labels that do not match the points, and NaN
 */
export function promptToInput(prompt: Prompt, geometry: Geometry, name: string): InputPrompt {
  const { points = [], box, mask } = prompt;
  const labels: readonly number[] = prompt.labels ?? points.map(() => 1);
  if (points.length === 0 && !box && !mask) {
    throw invalid(`the prompt is empty. Give a point on the object, or a box around it`, name);
  }
  if (labels.length !== points.length) {
    throw invalid(`there are ${points.length} points and ${labels.length} labels. Give one label per point`, name);
  }
  if ([...points.flat(), ...(box ?? [])].some((each) => !Number.isFinite(each))) {
    throw invalid(`a coordinate is no number. Give points as [x, y] and boxes as [left, upper, right, lower]`, name);
  }
  if (labels.some((each) => each !== 0 && each !== 1)) {
    throw invalid(`labels are 1 (on the object) or 0 (not on it), but there is ${labels.join(', ')}`, name);
  }
  return {
    points: points.map((point) => pointToInput(geometry, point)),
    labels,
    ...(box && { box: boxToInput(geometry, box) }),
    ...(mask && { mask }),
  };
}

/** Pads points and labels to the longest list, as `SamProcessor`. */
export function padPoints(prompts: readonly InputPrompt[]): {
  readonly count: number;
  readonly points: number[];
  readonly labels: number[];
} {
  // At least one, which SAM's graph needs.
  const count = Math.max(1, ...prompts.map(({ points }) => points.length));
  const points: number[] = [];
  const labels: number[] = [];
  for (const prompt of prompts) {
    for (let i = 0; i < count; i++) {
      points.push(...(prompt.points[i] ?? [NO_POINT, NO_POINT]));
      labels.push(prompt.labels[i] ?? NO_POINT);
    }
  }
  return { count, points, labels };
}

function invalid(message: string, name: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `For the image "${name}" ${message}.`);
}

/**
 * The decoder's feeds, with as many prompts for each image.
 * @param images prompts of each image
 * @param name of the model, for messages
 * @throws OnnxLoraError `INPUT_INVALID` for a prompt without an input in the graph
 */
export function promptFeeds(
  images: readonly (readonly InputPrompt[])[],
  ports: Pick<SamPorts, 'points' | 'labels' | 'boxes' | 'mask'>,
  name: string,
): Feeds {
  const prompts = images.flat();
  const [batch, each] = [images.length, images[0]!.length];
  for (const prompt of prompts) checkPrompt(prompt, ports, name);
  const feeds: Record<string, Feeds[string]> = {};
  if (ports.points !== undefined) {
    const { count, points, labels } = padPoints(prompts);
    feeds[ports.points] = float32(points, [batch, each, count, 2]);
    feeds[ports.labels!] = int64(labels, [batch, each, count]);
  }
  if (ports.boxes !== undefined)
    feeds[ports.boxes] = float32(
      prompts.flatMap(({ box }) => box!),
      [batch, each, 4],
    );
  if (ports.mask !== undefined) {
    if (each > 1) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `"${name}" takes one mask for each image, so it answers one prompt at a time. Ask for them one after the other.`,
      );
    }
    feeds[ports.mask] = maskFeed(prompts.map(({ mask }) => mask!));
  }
  return feeds;
}

/** float32 `[batch, 1, height, width]` of square masks. */
function maskFeed(masks: readonly Float32Array[]): Feeds[string] {
  const area = masks[0]!.length;
  const edge = Math.sqrt(area);
  if (!Number.isInteger(edge) || masks.some(({ length }) => length !== area)) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `A mask as prompt holds the logits of an earlier answer as the decoder gave them, a square, but there are ${area}.`,
    );
  }
  const data = new Float32Array(masks.length * area);
  masks.forEach((mask, i) => data.set(mask, i * area));
  return float32(data, [masks.length, 1, edge, edge]);
}

/** Checks that graph and prompt fit. @throws OnnxLoraError `INPUT_INVALID` */
function checkPrompt(
  prompt: Pick<InputPrompt, 'points' | 'box' | 'mask'>,
  ports: Pick<SamPorts, 'points' | 'boxes' | 'mask'>,
  name: string,
): void {
  const refuse = (message: string): never => {
    throw new OnnxLoraError('INPUT_INVALID', `"${name}" ${message}.`);
  };
  if (prompt.points.length > 0 && ports.points === undefined) refuse('takes no points. Prompt it with a box');
  if (prompt.box && ports.boxes === undefined)
    refuse('takes no boxes: it was exported with points only. Prompt it with points, or export it with input_boxes');
  if (!prompt.box && ports.boxes !== undefined) refuse('was exported with boxes. Give a box with every prompt');
  if (prompt.mask && ports.mask === undefined)
    refuse('takes no masks as prompts. Leave the mask out, or export it with input_masks');
  if (!prompt.mask && ports.mask !== undefined)
    refuse('was exported with masks as prompts. Give the logits of an earlier mask with every prompt');
}
