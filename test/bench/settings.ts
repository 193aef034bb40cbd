/** @file What a benchmark run measures: sizes of the model, the batch, and how often. */

import type { Provider } from '@onnx-lora/sdk';

/** The settings of one run; children and the Python script get them as JSON. */
export interface BenchSettings {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  /** Pixels along each side. */
  readonly image: number;
  readonly patch: number;
  readonly classes: number;
  readonly batch: number;
  /** Rank of the adapters. */
  readonly r: number;
  /** Runs of each case whose times count. */
  readonly rounds: number;
  /** Runs of each case before those. */
  readonly warmUps: number;
  readonly provider: Provider;
  readonly threads: number;
}

type Sizes = Omit<BenchSettings, 'provider' | 'threads'>;

/** ViT-S/16 on eight images. */
export const fullSizes: Sizes = {
  hidden: 384,
  layers: 12,
  heads: 6,
  image: 224,
  patch: 16,
  classes: 100,
  batch: 8,
  r: 8,
  rounds: 10,
  warmUps: 2,
};

/** A ViT of a few thousand numbers, to try the benchmark itself. */
export const quickSizes: Sizes = {
  hidden: 32,
  layers: 2,
  heads: 2,
  image: 32,
  patch: 8,
  classes: 10,
  batch: 2,
  r: 2,
  rounds: 2,
  warmUps: 1,
};
