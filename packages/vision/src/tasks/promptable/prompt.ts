/** @file What a user points at in an image, and what the model is fed for it. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Box, Point } from '../../data/imageRecord.ts';
import { boxToInput, type Geometry, pointToInput } from '../../preprocess/geometry.ts';

/** What says which object is meant, in pixels of the image, as transformers' `SamProcessor` takes it. */
export interface Prompt {
  /** Points on the object, or beside it. */
  readonly points?: readonly Point[];
  /** For each point 1 where it lies on the object and 0 where it does not; all 1 when left out. */
  readonly labels?: readonly (0 | 1)[];
  /** A box around the object. */
  readonly box?: Box;
  /**
   * Logits of an earlier answer, `[height, width]` as the decoder gives them: SAM refines what it is shown. Only for models
   * with an input for it.
   */
  readonly mask?: Float32Array;
}

/** A prompt in pixels of the model's input. */
export interface InputPrompt {
  /** Points on the object, or beside it. */
  readonly points: readonly Point[];
  /** For each point 1 where it lies on the object, and 0 where it does not. */
  readonly labels: readonly number[];
  /** A box around the object. */
  readonly box?: Box;
  /** Logits of an earlier answer, `[height, width]`. */
  readonly mask?: Float32Array;
}

/** The label of a point that fills up a shorter list, which SAM leaves out. */
const NO_POINT = -10;

/**
 * The prompt where the image lies in the model's input: scaled with the image in double precision, as `SamProcessor` does.
 *
 * @param name of the image, for messages
 * @throws OnnxLoraError `INPUT_INVALID` for a prompt without anything in it, labels that do not fit the points, and
 *   numbers that are none
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

/** Points and labels of many prompts, each list as long as the longest, with what `SamProcessor` fills them up with. */
export function padPoints(prompts: readonly InputPrompt[]): {
  readonly count: number;
  /** `[prompts, count, 2]` */
  readonly points: number[];
  /** `[prompts, count]` */
  readonly labels: number[];
} {
  // At least one: SAM's graph cannot do without.
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
