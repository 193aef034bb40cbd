/** @file What an architecture is: the graphs of its classes, each written as the paper has the model. */

import type { Checkpoint } from './checkpoint/openCheckpoint.ts';
import type { Config } from './checkpoint/config.ts';
import type { Module } from './layers/module.ts';

/** Emits a graph: declares its inputs, computes, and declares its outputs. */
export type Emit = (model: Module) => void;

/** The graphs of a class by their files' names without the ending: `model`, `vision_encoder`. */
export type Graphs = Readonly<Record<string, Emit>>;

/** One model of a paper, with the heads that transformers has for it. */
export interface Architecture {
  /** `model_type` of config.json. */
  readonly modelType: string;
  /** What paths of the model without a head have before them where it has one: `bert`. */
  readonly prefix?: string;
  /**
   * The classes of transformers that can be built: each reads the config, all of it, and gives its graphs. The first is
   * taken where config.json names none.
   */
  readonly classes: Readonly<Record<string, (config: Config, checkpoint: Checkpoint) => Graphs>>;
  /** Tensors of the architecture's other parts and heads, which a class may leave unread. */
  readonly others?: RegExp;
}
