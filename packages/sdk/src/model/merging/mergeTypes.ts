/** @file Options and results of `merge` and `unmerge`. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { RoundingError } from '../../adapter/merging/editWeights.ts';

/** Result of `merge`. */
export interface MergeResult {
  /** The .onnx file, and its `.data` file above the size limit; for a model of several files, its folder's files. */
  readonly files: readonly string[];
  /** Paths of the changed modules. */
  readonly modules: readonly string[];
  /** Rounding error of each weight in 16 bits or fewer. */
  readonly rounding: readonly RoundingError[];
  /** Modules that shared their weight with other layers and now have a copy. */
  readonly untied: readonly string[];
  /**
   * Modules whose weight cannot hold the change, such as 8-bit weights or grouped convolutions: branches compute it.
   */
  readonly beside: readonly string[];
  /** The folder's `config.json` with an adapter's new labels. A single .onnx file has them in its metadata. */
  readonly config?: string;
}

/** Options of `merge`. */
export interface MergeOptions {
  /** Accepts adapters of other base weights. */
  readonly allowBaseMismatch?: boolean;
  /** Replaces existing files, including companions such as config.json; by default they are an error. */
  readonly overwrite?: boolean;
  /**
   * Requantises weights of few bits, whatever the change loses, which keeps the model small and fast. By default a
   * weight that would lose more than 2% of the change stays, with a branch beside the layer.
   */
  readonly requantize?: boolean;
  /** `safetensors` writes `model.safetensors` with its companions, if the model was opened from a checkpoint. */
  readonly format?: 'onnx' | 'safetensors';
}

/** An adapter to merge with weight w: W + w·(W′ − W), W′ being the adapted weight. Resized heads are taken whole. */
export interface WeightedAdapter {
  /** The adapter. */
  readonly adapter: Adapter;
  /** The w of the formula; 1 is the adapter as trained, 0 the base. */
  readonly weight: number;
  /** Name for errors; by default its number. */
  readonly name?: string;
}

/** One adapter or several, each optionally weighted. */
export type AdaptersToMerge = Adapter | readonly (Adapter | WeightedAdapter)[];
