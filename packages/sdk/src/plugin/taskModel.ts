/** @file The model as tasks see it, and how it is run. */

import type { Adapter } from '../adapter/adapter.ts';
import type { AdapterNotes } from '../adapter/storage/adapterNotes.ts';
import type { AdapterSession } from '../adapter/serving/session.ts';
import type { InputSizes } from '../ops/rewrites/inputSizes.ts';
import type { Provider } from '../runtime/session.ts';
import type { DataType } from '../runtime/tensor.ts';

/** The model that a task is prepared for. */
export interface TaskModel {
  /** Name for messages: a folder, a file or a hub id, as the user gave it. */
  readonly name: string;
  /** Folder of config.json and the preprocessor's config, if any. */
  readonly folder?: string;
  /** Parsed `config.json`, if any. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Graph inputs by name. A dimension is a number, or the symbol of a dynamic one. */
  readonly inputs: Readonly<Record<string, GraphPort>>;
  /** Graph outputs by name. */
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /** Input of the layer that produces an output, if any, for `PreparedTask.outputs`: a classifier's features. */
  headInput?(output: string): HeadInput | undefined;
  /**
   * Input of the whole head that produces an output, such as of `lm_head.dense` and `lm_head.decoder` in a masked
   * language model. `module` is its first layer, `name` the value; undefined without a head.
   */
  featuresOf?(output: string): HeadInput | undefined;
  /**
   * The last layers before a value, nearest first: those that compute it without another layer between, such as the
   * convolutions of a dense detector's head. To read their outputs, list them in `PreparedTask.outputs`.
   * @param shapes of inputs whose sizes the graph leaves open, such as `[1, 3, 320, 320]`, by which the outputs' are known
   */
  layersBehind?(value: string, shapes?: Readonly<Record<string, readonly number[]>>): readonly LayerOutput[];
  /** Rows that an input's ids look up in its one embedding table, such as of `input_ids`, if there is one. */
  lookupOf?(input: string): InnerValue | undefined;
  /** The value that an output is sliced from, if any, for `PreparedTask.outputs`: all masks of a SAM. */
  slicedFrom?(output: string): string | undefined;
  /**
   * The logits behind an output of Softmax, LogSoftmax or Sigmoid; undefined for others. Losses need logits, since the
   * logarithm of a probability near 0 loses its precision and its gradient. To read them, list them in
   * `PreparedTask.outputs`.
   */
  logitsOf?(output: string): string | undefined;
  /** The model for smaller inputs, see `PreparedTask.inputSizes`. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
  withInputSizes?(sizes: InputSizes): TaskModel;
  /** Data that `PreparedTask.finish` saved with the adapter in use. */
  readonly learned?: Readonly<Record<string, unknown>> | undefined;
  /** Input sizes that the merged adapter was trained with, as in {@link AdapterNotes}; absent for most models. */
  readonly trainedSizes?: AdapterNotes['inputSizes'];
}

/** A runnable model, as `openModel` gives it. */
export interface RunnableModel extends TaskModel {
  /** The models of a pipeline of several files; empty for a single file. */
  readonly parts: readonly RunnableModel[];
  /** The model with values inside the graph as further outputs, such as {@link TaskModel.headInput}. */
  withOutputs(values: readonly string[]): RunnableModel;
  withInputSizes?(sizes: InputSizes): RunnableModel;
  /** Loads the model with adapters, by the names that `session.run` selects them by. */
  session(options?: RunnableOptions): Promise<RunnableSession>;
}

/** A loaded {@link RunnableModel}: an {@link AdapterSession}, or a stand-in, such as a server's queue. */
export type RunnableSession = Pick<
  AdapterSession,
  'inputNames' | 'outputNames' | 'provider' | 'mixesRows' | 'run' | 'bind' | 'release'
>;

/** Examples per run: one where rows or padding would affect each other's answers. */
export function rowsPerRun({ mixesRows }: Pick<RunnableSession, 'mixesRows'>, batchSize: number): number {
  return mixesRows ? 1 : batchSize;
}

/** How to load a {@link RunnableModel}. */
export interface RunnableOptions {
  /** Adapters by the names that runs select them by; none by default. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** Accept adapters whose notes say they were trained on other weights; false by default. */
  readonly allowBaseMismatch?: boolean;
  /** Execution provider; `auto` by default. */
  readonly provider?: Provider;
  /** Threads per operator on the CPU; all cores by default. */
  readonly threads?: number;
  /** Whether runs compute in a worker thread; true by default. */
  readonly worker?: boolean;
}

/** A value inside the graph. */
export interface InnerValue extends GraphPort {
  /** Name of the value. */
  readonly name: string;
}

/** A value inside the graph, and the layer that computes it. */
export interface LayerOutput extends InnerValue {
  /** The module's path. */
  readonly module: string;
  /** Name of the value that the layer reads. */
  readonly input: string;
}

/** A value inside the graph, and the module that reads it. */
export interface HeadInput extends InnerValue {
  /** Path of the module. */
  readonly module: string;
}

/** Type and shape of a graph input or output; `dims` is undefined if the file does not declare it. */
export interface GraphPort {
  /** The element type. */
  readonly type: DataType;
  /** A size or symbol per dimension. */
  readonly dims: readonly (number | string)[] | undefined;
}
