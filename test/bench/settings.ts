/** @file Settings of a benchmark run: sizes of the model, the batch, and numbers of rounds. */

import type { PrecisionName, Provider } from '@onnx-lora/sdk';

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
  /** How often adapters are changed to time that. */
  readonly swaps: number;
  readonly provider: Provider;
  readonly threads: number;
}

/** Settings that do not depend on the machine. */
export type Sizes = Omit<BenchSettings, 'provider' | 'threads'>;

/** Name of a model to time. */
export type VitName = 'vit-s' | 'vit-b';

const common: Omit<Sizes, 'hidden' | 'heads'> = {
  layers: 12,
  image: 224,
  patch: 16,
  classes: 100,
  batch: 8,
  r: 8,
  rounds: 10,
  warmUps: 2,
  swaps: 50,
};

/** ViT-S/16 and ViT-B/16 on eight images. */
export const fullSizes: Readonly<Record<VitName, Sizes>> = {
  'vit-s': { ...common, hidden: 384, heads: 6 },
  'vit-b': { ...common, hidden: 768, heads: 12 },
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
  swaps: 3,
};

/** The provider of a precision: OpenVINO for bfloat16, which ONNX Runtime lacks. */
export function providerOf(precision: PrecisionName, other: Provider = 'cpu'): Provider {
  return precision === 'bfloat16' ? 'openvino' : other;
}
