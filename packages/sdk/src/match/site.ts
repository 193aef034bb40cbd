/** @file An adaptable layer with its module path. */

import type { Layer } from './layers/layer.ts';
import type { PathSource } from './modulePath.ts';
import type { Projection } from './structuralPath.ts';
import type { Runs } from './weights/index.ts';

/** One adaptable layer: a torch module. */
export interface Site extends Layer {
  /** torch's module path, matched by PEFT's target rules; for a `parameter`, its full name. */
  readonly path: string;
  /** Source of the path. */
  readonly pathSource: PathSource;
  /** Other occurrences of the module: in the other branch of an If, or further calls. */
  readonly alsoAt: readonly Site[];
  /** Per output, the factor of a normalization folded into the weight: weight and delta are torch's times this. */
  readonly foldedScale?: Float32Array;
  /** For a projection unpacked from a fused operator or layer: the attention's module path, and the role. */
  readonly projection?: { readonly of: string; readonly as: Projection };
  /** For a fused QKV layer: its queries, keys and values as sites that share its nodes and weight. */
  readonly parts?: readonly Site[];
  /** For such a part: the whole layer's path and number of outputs, and which of them are the part's. */
  readonly part?: Runs & { readonly of: string; readonly total: number };
}

/** All occurrences of a site's module, usually one. */
export function occurrencesOf(site: Site): readonly Site[] {
  return [site, ...site.alsoAt];
}
