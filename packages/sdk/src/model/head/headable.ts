/** @file What is read of a model to change its head, and how the changed one is made. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { AdapterNotes } from '../../adapter/storage/adapterNotes.ts';
import type { GraphProto, ModelProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import type { Site } from '../../match/sites.ts';
import type { GraphPort } from '../../plugin/taskModel.ts';

/** What of a model is another in one that is made from it. Its weights' digest stays that of the file. */
export interface ModelChanges {
  /** The graph. */
  readonly model?: ModelProto & { readonly graph: GraphProto };
  /** What `config.json` says. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Types of all values, where they cannot be inferred from the graph. */
  readonly types?: ReadonlyMap<string, ValueType>;
  /** Paths of heads of which adapters may bring any number of outputs. */
  readonly openHeads?: ReadonlySet<string>;
  /** What an adapter with the new head says of it. */
  readonly notes?: AdapterNotes;
}

/** A model whose head can be changed. */
export interface Headable<M> {
  /** What the user called it, for messages. */
  readonly name: string;
  /** `config.json`, parsed, where there is one. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Type and shape of each graph output, by name. */
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /** The graph. */
  readonly onnx: { readonly model: ModelProto & { readonly graph: GraphProto } };
  /** Paths of heads of which adapters may bring any number of outputs. */
  readonly openHeads: ReadonlySet<string>;
  /** The adaptable layers with their nodes. */
  sites(): readonly Site[];
  /** Types and shapes of all values of the graph. */
  types(): ReadonlyMap<string, ValueType>;
  /**
   * Checks that an adapter's tensors have their places here, by their names and shapes.
   *
   * @throws OnnxLoraError `ADAPTER_MISMATCH`, `ADAPTER_INVALID`
   */
  requireModules(adapter: Adapter): void;
  /** A model made from this one. */
  derived(changes: ModelChanges): M;
}
