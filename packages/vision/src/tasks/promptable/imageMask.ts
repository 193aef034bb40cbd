/** @file Predicted masks: from the model's outputs to the image's pixels. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';
import type { SamPorts } from './samPorts.ts';

/** Mask logits, `[height, width]`. */
export interface MaskLogits extends Size {
  /** Row by row; the object is above 0. */
  readonly data: Float32Array;
}

/**
 * Logits at the image's size, as `SamImageProcessor.post_process_masks`: resized to the model's input, unpadded, and
 * resized to the image, both bilinear without antialias. Without padding, as for SAM 2, resized at once.
 *
 * Both steps are linear along each axis and are combined: each pixel is a sum of a few of the decoder's.
 * @see https://pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html, align_corners=False
 */
export function logitsOfImage(
  mask: MaskLogits,
  { input, content, output }: Geometry,
  { isPadded }: { readonly isPadded: boolean },
): MaskLogits {
  const steps = (from: number, middle: number, kept: number, to: number): Taps =>
    isPadded ? joined(taps(kept, to), taps(from, middle)) : taps(from, to);
  const columns = steps(mask.width, output.width, content.width, input.width);
  const rows = steps(mask.height, output.height, content.height, input.height);
  return vertical(horizontal(mask, columns, input.width), rows, input.height);
}

/** Ones where a mask's logits are above `threshold`. */
export function cutLogits({ data }: MaskLogits, threshold = 0): Uint8Array {
  const found = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) found[i] = data[i]! > threshold ? 1 : 0;
  return found;
}

/** Weighted source positions, by output position. */
type Taps = readonly (readonly (readonly [from: number, weight: number])[])[];

/** Linear interpolation from `size` to `wanted` positions, in single precision as in torch. */
function taps(size: number, wanted: number): Taps {
  const scale = Math.fround(size / wanted);
  return Array.from({ length: wanted }, (_, i) => {
    const position = Math.max(0, Math.fround(Math.fround(scale * (i + 0.5)) - 0.5));
    const from = Math.min(Math.trunc(position), size - 1);
    const share = Math.min(Math.max(Math.fround(position - from), 0), 1);
    const next = Math.min(from + 1, size - 1);
    return next === from || share === 0
      ? [[from, 1] as const]
      : [[from, Math.fround(1 - share)] as const, [next, share] as const];
  });
}

function joined(outer: Taps, inner: Taps): Taps {
  return outer.map((each) => {
    const weights = new Map<number, number>();
    for (const [middle, share] of each) {
      for (const [from, weight] of inner[middle]!) weights.set(from, (weights.get(from) ?? 0) + share * weight);
    }
    return [...weights];
  });
}

function horizontal({ width, height, data }: MaskLogits, columns: Taps, wanted: number): MaskLogits {
  const out = new Float32Array(height * wanted);
  for (let x = 0; x < wanted; x++) {
    for (const [from, weight] of columns[x]!) {
      for (let y = 0, at = x, source = from; y < height; y++, at += wanted, source += width) {
        out[at]! += weight * data[source]!;
      }
    }
  }
  return { width: wanted, height, data: out };
}

function vertical({ width, data }: MaskLogits, rows: Taps, wanted: number): MaskLogits {
  const out = new Float32Array(wanted * width);
  for (let y = 0; y < wanted; y++) {
    for (const [from, weight] of rows[y]!) {
      for (let at = y * width, source = from * width, end = at + width; at < end; at++, source++) {
        out[at]! += weight * data[source]!;
      }
    }
  }
  return { width, height: wanted, data: out };
}

/** The decoder's output for one prompt. */
export interface PromptMasks {
  /** A mask for each meaning of the prompt. */
  readonly logits: readonly MaskLogits[];
  readonly scores: readonly number[];
  readonly best: number;
}

/** Reads a run's outputs, by image and prompt. @throws OnnxLoraError `INPUT_INVALID`; `LOSS_NOT_FINITE` for NaN */
export function masksOf(
  outputs: Readonly<Record<string, Tensor>>,
  ports: Pick<SamPorts, 'scores' | 'masks' | 'isSingle'>,
): (image: number, prompt: number) => PromptMasks {
  const [scores, masks] = [outputs[ports.scores], outputs[ports.masks]];
  const [, prompts = 0, count = 0, height = 0, width = 0] = masks?.dims ?? [];
  if (
    !(masks?.data instanceof Float32Array) ||
    !(scores?.data instanceof Float32Array) ||
    masks.dims.length !== 5 ||
    scores.dims.join() !== masks.dims.slice(0, 3).join()
  ) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `"${ports.masks}" must be float32 [batch, prompts, masks, height, width] and "${ports.scores}" float32 [batch, prompts, masks]. Check that the outputs are those of the model the task was prepared for.`,
    );
  }
  const [values, pixels] = [scores.data, masks.data];
  return (image, prompt) => {
    const first = (image * prompts + prompt) * count;
    const own = Array.from(values.subarray(first, first + (ports.isSingle ? 1 : count)));
    if (!own.every(Number.isFinite)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        `The output "${ports.scores}" holds ${own.find((each) => !Number.isFinite(each))}. The adapter has probably diverged: train it again with a lower learning rate.`,
      );
    }
    const area = height * width;
    return {
      logits: own.map((_, i) => ({ height, width, data: pixels.subarray((first + i) * area, (first + i + 1) * area) })),
      scores: own,
      best: own.indexOf(Math.max(...own)),
    };
  };
}
