/** @file What an adaptable layer of a graph is known by. */

import type { Layer } from './layers/layer.ts';
import type { PathSource } from './modulePath.ts';
import type { Projection } from './structuralPath.ts';
import type { Runs } from './weights/index.ts';

/** One adaptable layer: a torch module. */
export interface Site extends Layer {
  /** torch's module path, against which PEFT's target rules are matched; of a `parameter` its full name. */
  readonly path: string;
  /** What the path was read from. */
  readonly pathSource: PathSource;
  /**
   * Where else the graph computes the same module: in the other branch of an If, or again for a module that is called
   * several times.
   */
  readonly alsoAt: readonly Site[];
  /**
   * Where an exporter folded a normalisation into the weight: the factor of each output. The weight is that many times
   * torch's, and so must a delta be.
   */
  readonly foldedScale?: Float32Array;
  /** Of a projection that was packed into a fused attention or another layer: which one, and the path of the attention's module. */
  readonly projection?: { readonly of: string; readonly as: Projection };
  /**
   * Of a layer that is joined of an attention's queries, keys and values: each of them, as a site that shares the nodes and
   * the weight of this one.
   */
  readonly parts?: readonly Site[];
  /** Of such a part: the path of the whole layer, how many outputs that has, and which of them are the part's. */
  readonly part?: Runs & { readonly of: string; readonly total: number };
}

/** Where a site's module is computed: usually one place. */
export function occurrencesOf(site: Site): readonly Site[] {
  return [site, ...site.alsoAt];
}
