/** @file What `merge` and `unmerge` take and tell. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { RoundingError } from '../../adapter/merging/editWeights.ts';

/** What `merge` wrote. */
export interface MergeResult {
  /**
   * The .onnx file, and its `.data` file when the weights exceed what one file can hold; of a model of several files all that
   * is in the folder now.
   */
  readonly files: readonly string[];
  /** Paths of the modules that changed. */
  readonly modules: readonly string[];
  /** How far each weight of 16 bits or fewer is from the exact sum, which its storage cannot hold. */
  readonly rounding: readonly RoundingError[];
  /** Modules whose weight other layers share: they have a copy of their own now. */
  readonly untied: readonly string[];
  /**
   * Modules whose weight cannot hold the change, such as grouped convolutions and weights of 8 bits or fewer: what the adapters
   * make of them is computed beside the layer, as in a session.
   */
  readonly beside: readonly string[];
  /**
   * The `config.json` of the folder with the new labels, where an adapter has brought a head with labels of its own. A lone
   * .onnx file has them in its metadata.
   */
  readonly config?: string;
}

/** Options of `merge`. */
export interface MergeOptions {
  /** Accept adapters that say they were trained on other weights. */
  readonly allowBaseMismatch?: boolean;
  /**
   * Replaces files that are there, and those beside a model, such as its config.json; without it, a file that is there is an error.
   */
  readonly overwrite?: boolean;
  /**
   * True quantises weights of few bits anew, whatever the adapter's change loses by it, so that the model stays as small and as
   * fast as the base; `rounding` says how far each is off. By default a weight that would lose more than a fiftieth of the
   * change, norm over norm, stays as it is, and what the adapters make of the layer is computed beside it.
   */
  readonly requantize?: boolean;
  /**
   * `safetensors` writes a checkpoint in place of .onnx files, where the model was opened from one: the same tensors under the
   * same names, `model.safetensors`, and what lies beside. `onnx` by default.
   */
  readonly format?: 'onnx' | 'safetensors';
}

/**
 * An adapter to merge, and how much of it: with weight w W becomes W + w·(what the adapter makes of it − W). A head that the
 * base does not have in this form, such as one for other labels, is taken whole.
 */
export interface WeightedAdapter {
  /** The adapter. */
  readonly adapter: Adapter;
  /** The w of the formula; 1 is the adapter as it is, 0 the base. */
  readonly weight: number;
  /** How errors call the adapter; by default its number. */
  readonly name?: string;
}

/** What `merge` takes: one adapter or several, each with a weight or whole. */
export type AdaptersToMerge = Adapter | readonly (Adapter | WeightedAdapter)[];
