/** @file What is done to an image between decoding and the model: a plan without names of processors. */

import type { Resample } from './resize/resampleFilters.ts';

/** Rule by which the size after resizing follows from the image's. All sizes are in pixels. */
export type SizeRule =
  /** Exactly this size; the aspect is not kept. */
  | { readonly kind: 'exact'; readonly height: number; readonly width: number }
  /** The shorter edge becomes `edge`, the longer one `floor(edge * longer / shorter)`; not more than `longest`, if given. */
  | { readonly kind: 'shortest-edge'; readonly edge: number; readonly longest?: number }
  /** The longer edge becomes `edge`; both are scaled by the same factor and rounded half up. */
  | { readonly kind: 'longest-edge'; readonly edge: number }
  /** The aspect is kept, and one edge becomes the given one while the other becomes no longer than it. */
  | { readonly kind: 'within'; readonly height: number; readonly width: number };

/** Height and width in pixels. */
export interface Size {
  /** Rows of pixels. */
  readonly height: number;
  /** Pixels of a row. */
  readonly width: number;
}

/** How an image is resized. */
export interface ResizeStep {
  /** The size after it. */
  readonly to: SizeRule;
  /** The filter. */
  readonly resample: Resample;
  /** True where pixels stay fractions after resizing, as in processors that rescale first; else they are rounded to 8 bits. */
  readonly fractional?: boolean;
}

/** A window in the middle of the image. */
export interface CropStep extends Size {
  /** What half a pixel too many becomes: transformers' crops round it down, torchvision's and timm's to the even number. */
  readonly rounding?: 'down' | 'half-even';
}

/** What is done to each pixel value, as `preprocessor_config.json` names it. */
export interface Normalization {
  /** `rescale_factor`, such as 1/255; 1 where nothing is rescaled. */
  readonly rescaleFactor: number;
  /** What is added after rescaling: -1 where the file says `rescale_offset`, else nothing. */
  readonly offset?: number;
  /** `image_mean` of red, green and blue. */
  readonly mean: readonly [number, number, number];
  /** `image_std` of red, green and blue. */
  readonly std: readonly [number, number, number];
  /** True where the values are divided by `std` once more, as EfficientNet's `include_top` has it. */
  readonly stdTwice?: boolean;
}

/** Steps in the order they are done; an absent one is left out. */
export interface ImagePlan {
  /** First the image is resized. */
  readonly resize?: ResizeStep;
  /** Then a window is cut out. */
  readonly crop?: CropStep;
  /** Then levels become the numbers that the model is fed. */
  readonly normalization: Normalization;
  /** Order of the channels in the model's input; `rgb` if absent. */
  readonly channelOrder?: 'rgb' | 'bgr';
  /**
   * Zeros are put on the right and below up to this size, after normalising; with `batch`, up to the largest image of the
   * batch (see {@link padBatch}).
   */
  readonly pad?: Size | 'batch';
  /** Of class maps, 0 means unlabelled and the classes count from 1 (`do_reduce_labels`). */
  readonly reduceLabels?: boolean;
}

/** The size after resizing an image of `size` by `rule`. */
export function resizedSize(size: Size, rule: SizeRule): Size {
  switch (rule.kind) {
    case 'exact':
      return { height: rule.height, width: rule.width };
    case 'shortest-edge':
      return shortestEdge(size, rule.edge, rule.longest);
    case 'longest-edge': {
      const scale = rule.edge / Math.max(size.height, size.width);
      return { height: Math.trunc(size.height * scale + 0.5), width: Math.trunc(size.width * scale + 0.5) };
    }
    case 'within': {
      const scale = Math.min(rule.height / size.height, rule.width / size.width);
      return { height: Math.trunc(size.height * scale), width: Math.trunc(size.width * scale) };
    }
  }
}

/** `get_resize_output_image_size` of transformers, and `get_size_with_aspect_ratio` where a longest edge is given. */
function shortestEdge({ height, width }: Size, edge: number, longest = Infinity): Size {
  const [short, long] = width <= height ? [width, height] : [height, width];
  const shrunk = (long / short) * edge > longest;
  // The shorter edge that the longest one allows is rounded, and the longer one follows from what it was before.
  const exact = shrunk ? (longest * short) / long : edge;
  const shorter = shrunk ? roundHalfEven(exact) : edge;
  const longer = longest !== Infinity && short === shorter ? long : Math.trunc((exact * long) / short);
  return width <= height ? { height: longer, width: shorter } : { height: shorter, width: longer };
}

/** Rounds as Python's `round` does: a half to the even number. */
export function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/** The size of every image that comes out, or undefined where it depends on the image. */
export function outputSize({ resize, crop, pad }: ImagePlan): Size | undefined {
  const size = pad === 'batch' ? undefined : (pad ?? crop ?? (resize?.to.kind === 'exact' ? resize.to : undefined));
  return size && { height: size.height, width: size.width };
}
