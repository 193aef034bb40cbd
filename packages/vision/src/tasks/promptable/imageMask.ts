/** @file From the decoder's small mask to one of the image's size. */

import type { Geometry } from '../../preprocess/geometry.ts';
import type { Size } from '../../preprocess/imagePlan.ts';

/** Numbers of a mask before they are cut at 0, `[height, width]`. */
export interface MaskLogits extends Size {
  /** Row by row; above 0 is the object. */
  readonly data: Float32Array;
}

/**
 * Logits at the image's size, as `SamImageProcessor.post_process_masks` makes them: enlarged to the model's input, without its
 * padding, then resized to the image, both bilinear without antialias. Where the preprocessor pads no image, SAM 2's way: at
 * once.
 *
 * Both steps are linear along each axis, so they are done as one: each pixel is a sum of a few of the decoder's, and what lies
 * between is never made.
 *
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

/** Ones where the logits of a mask are above `threshold`. */
export function cutLogits({ data }: MaskLogits, threshold = 0): Uint8Array {
  const found = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) found[i] = data[i]! > threshold ? 1 : 0;
  return found;
}

/** For each place of a result those of the source that it is summed from. */
type Taps = readonly (readonly (readonly [from: number, weight: number])[])[];

/** Linear interpolation from `size` places to `wanted`; positions in single precision, as torch has them. */
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

/** First `inner`, then `outer`. */
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
