/** @file The interface of an architecture: graphs per transformers class. */

import type { Checkpoint } from './checkpoint/openCheckpoint.ts';
import type { Config } from './checkpoint/config.ts';
import type { Module } from './layers/module.ts';

/** Emits a graph: declares inputs, computes, declares outputs. */
export type Emit = (model: Module) => void;

/** A class's graphs by file name without extension: `model`, `vision_encoder`. */
export type Graphs = Readonly<Record<string, Emit>>;

/** A model with its transformers heads. */
export interface Architecture {
  /** `model_type` of config.json. */
  readonly modelType: string;
  /** Path prefix of the bare model inside a model with a head: `bert`. */
  readonly prefix?: string;
  /** The transformers classes to build; each reads its whole config. The first is the default. */
  readonly classes: Readonly<Record<string, (config: Config, checkpoint: Checkpoint) => Graphs>>;
  /** Tensors of other parts and heads, which a class may leave unread. */
  readonly others?: RegExp;
}
