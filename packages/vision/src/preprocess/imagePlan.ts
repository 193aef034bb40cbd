/** @file What is done to an image between decoding and the model: a plan without names of processors. */

import type { Normalization } from './normalize.ts';
import type { Resample } from './resampleFilters.ts';

/** Rule by which the size after resizing follows from the image's. All sizes are in pixels. */
export type SizeRule =
  /** Exactly this size; the aspect is not kept. */
  | { readonly kind: 'exact'; readonly height: number; readonly width: number }
  /** The shorter edge becomes `edge`, the longer one `floor(edge * longer / shorter)`. */
  | { readonly kind: 'shortest-edge'; readonly edge: number }
  /** The longer edge becomes `edge`; both are scaled by the same factor and rounded half up. */
  | { readonly kind: 'longest-edge'; readonly edge: number };

/** Height and width in pixels. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/** Steps in the order they are done; an absent one is left out. */
export interface ImagePlan {
  readonly resize?: { readonly to: SizeRule; readonly resample: Resample };
  readonly crop?: Size;
  readonly normalization: Normalization;
  /** Zeros are put on the right and below up to this size, after normalising. */
  readonly pad?: Size;
}

/** The size after resizing an image of `size` by `rule`. */
export function resizedSize(size: Size, rule: SizeRule): Size {
  switch (rule.kind) {
    case 'exact':
      return { height: rule.height, width: rule.width };
    case 'shortest-edge': {
      const [short, long] = size.width <= size.height ? [size.width, size.height] : [size.height, size.width];
      const longer = Math.trunc((rule.edge * long) / short);
      return size.width <= size.height ? { height: longer, width: rule.edge } : { height: rule.edge, width: longer };
    }
    case 'longest-edge': {
      const scale = rule.edge / Math.max(size.height, size.width);
      return { height: Math.trunc(size.height * scale + 0.5), width: Math.trunc(size.width * scale + 0.5) };
    }
  }
}

/** The size of every image that comes out, or undefined where it depends on the image. */
export function outputSize(plan: ImagePlan): Size | undefined {
  if (plan.pad) return plan.pad;
  if (plan.crop) return plan.crop;
  return plan.resize?.to.kind === 'exact' ? { height: plan.resize.to.height, width: plan.resize.to.width } : undefined;
}
