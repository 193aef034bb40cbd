/** @file The interface of an architecture: graphs per transformers class. */

import type { Checkpoint } from './checkpoint/openCheckpoint.ts';
import type { Config } from './checkpoint/config.ts';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Module } from './layers/module.ts';

/** Emits a graph: declares inputs, computes, declares outputs. */
export type Emit = (model: Module) => void;

/**
 * A class's graphs by file name without extension: `model`, or for a part of a model the name that it has beside the
 * others, `vision_encoder`. A part has it alone too.
 */
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
  /** Names under which a parameter may be stored instead, such as that of a head that others share. */
  readonly copies?: (name: string) => readonly string[];
}

/** A class: reads its config and gives its graphs. */
export type ReadClass = Architecture['classes'][string];

/** A class of one graph, emitted from what `read` takes of the config. @param name of the graph, of a part its own */
export function modelClass<S>(
  read: (c: Config, checkpoint: Checkpoint) => S,
  emit: (m: Module, s: S) => void,
  name = 'model',
): ReadClass {
  return (c, checkpoint) => {
    const s = read(c, checkpoint);
    return { [name]: (m) => emit(m, s) };
  };
}

/** A class whose `logits` are those of a linear layer with `id2label`'s classes. */
export function classifierClass<S>(
  read: (c: Config, checkpoint: Checkpoint) => S,
  features: (m: Module, s: S) => Value,
  layer = 'classifier',
): ReadClass {
  return modelClass(
    (c, checkpoint) => ({ s: read(c, checkpoint), labels: c.labels() }),
    (m, { s, labels }) => m.graph.output('logits', m.linear(layer, features(m, s), labels)),
  );
}
