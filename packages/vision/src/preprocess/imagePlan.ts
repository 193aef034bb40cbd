/** @file The preprocessing plan, independent of processors. */

import type { Resample } from './resize/resampleFilters.ts';

/** Rule for the size after resizing, in pixels. */
export type SizeRule =
  /** This exact size, regardless of the aspect. */
  | { readonly kind: 'exact'; readonly height: number; readonly width: number }
  /** The shorter edge becomes `edge`, the longer `floor(edge * longer / shorter)`, at most `longest`. */
  | {
      readonly kind: 'shortest-edge';
      readonly edge: number;
      readonly longest?: number;
      /** Both edges are rounded down to whole multiples. */
      readonly multiple?: number;
    }
  /** The longer edge becomes `edge`; both are scaled alike and rounded half up. */
  | { readonly kind: 'longest-edge'; readonly edge: number }
  /** The largest size of the same aspect within these edges. */
  | { readonly kind: 'within'; readonly height: number; readonly width: number };

/** Height and width in pixels. */
export interface Size {
  /** Rows. */
  readonly height: number;
  /** Pixels per row. */
  readonly width: number;
}

/** Resizing of an image. */
export interface ResizeStep {
  /** The resulting size. */
  readonly to: SizeRule;
  /** The filter. */
  readonly resample: Resample;
  /** True to keep fractions, as in processors that rescale first; else pixels are rounded to 8 bits. */
  readonly fractional?: boolean;
}

/** A centre crop. */
export interface CropStep extends Size {
  /** Rounding of half a pixel: `down` in transformers, to even in torchvision and timm. */
  readonly rounding?: 'down' | 'half-even';
}

/** Normalisation of pixel values, in `preprocessor_config.json`'s terms. */
export interface Normalization {
  /** `rescale_factor`, such as 1/255; 1 without rescaling. */
  readonly rescaleFactor: number;
  /** Offset after rescaling: -1 for `rescale_offset`. */
  readonly offset?: number;
  /** `image_mean` of red, green and blue. */
  readonly mean: readonly [number, number, number];
  /** `image_std` of red, green and blue. */
  readonly std: readonly [number, number, number];
  /** True to divide by `std` twice, as EfficientNet's `include_top`. */
  readonly stdTwice?: boolean;
}

/** Preprocessing steps in order; absent ones are skipped. */
export interface ImagePlan {
  /** Resizing. */
  readonly resize?: ResizeStep;
  /** Centre crop. */
  readonly crop?: CropStep;
  /** Normalisation. */
  readonly normalization: Normalization;
  /** Channel order of the model's input; `rgb` if absent. */
  readonly channelOrder?: 'rgb' | 'bgr';
  /** Zero padding on the right and below after normalisation; `batch` pads to the largest image ({@link padBatch}). */
  readonly pad?: Size | 'batch';
  /** True if class maps have 0 for unlabelled and classes from 1 (`do_reduce_labels`). */
  readonly reduceLabels?: boolean;
}

/** The size after resizing by `rule`. */
export function resizedSize(size: Size, rule: SizeRule): Size {
  switch (rule.kind) {
    case 'exact':
      return { height: rule.height, width: rule.width };
    case 'shortest-edge':
      return ofMultiples(shortestEdge(size, rule.edge, rule.longest), rule.multiple);
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

/** transformers' `get_resize_output_image_size`, or `get_size_with_aspect_ratio` with a longest edge. */
function shortestEdge({ height, width }: Size, edge: number, longest = Infinity): Size {
  const [short, long] = width <= height ? [width, height] : [height, width];
  const shrunk = (long / short) * edge > longest;
  // The shorter edge is rounded, but the longer one follows from the exact value.
  const exact = shrunk ? (longest * short) / long : edge;
  const shorter = shrunk ? roundHalfEven(exact) : edge;
  const longer = longest !== Infinity && short === shorter ? long : Math.trunc((exact * long) / short);
  return width <= height ? { height: longer, width: shorter } : { height: shorter, width: longer };
}

function ofMultiples({ height, width }: Size, multiple = 1): Size {
  return { height: height - (height % multiple), width: width - (width % multiple) };
}

/** Rounds half to even, as Python's `round`. */
export function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
}

/** The fixed size of all outputs; undefined if it depends on the image. */
export function outputSize({ resize, crop, pad }: ImagePlan): Size | undefined {
  const size = pad === 'batch' ? undefined : (pad ?? crop ?? (resize?.to.kind === 'exact' ? resize.to : undefined));
  return size && { height: size.height, width: size.width };
}
