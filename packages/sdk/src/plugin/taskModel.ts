/** @file What a task may ask about a model, and how a model is run. */

import type { Adapter } from '../adapter/adapter.ts';
import type { AdapterNotes } from '../adapter/storage/adapterNotes.ts';
import type { AdapterSession } from '../adapter/serving/session.ts';
import type { InputSizes } from '../ops/rewrites/inputSizes.ts';
import type { Provider } from '../runtime/session.ts';
import type { DataType } from '../runtime/tensor.ts';

/** What a task may ask about the model it is prepared for. */
export interface TaskModel {
  /** What the user called it: a folder, a file or a hub id. For error messages. */
  readonly name: string;
  /** Folder with config.json and the preprocessor's file, where there is one. */
  readonly folder?: string;
  /** `config.json`, parsed, where there is one. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Graph inputs by name. A dimension is a number, or the name of a dynamic one. */
  readonly inputs: Readonly<Record<string, GraphPort>>;
  /** Graph outputs by name. */
  readonly outputs: Readonly<Record<string, GraphPort>>;
  /**
   * What the layer reads that gives an output, such as the features from which a classifier makes its scores; undefined
   * where no layer gives it. A task that wants the value names it in `PreparedTask.outputs`.
   */
  headInput?(output: string): HeadInput | undefined;
  /**
   * What the whole head reads that gives an output: the features behind all layers of its name, such as `lm_head.dense` and
   * `lm_head.decoder` of a masked language model. `module` is the first of them, `name` the value that it reads; undefined
   * where no layer gives the output.
   */
  featuresOf?(output: string): HeadInput | undefined;
  /**
   * The rows of a table that an input's ids are looked up in, such as the embeddings of `input_ids`; undefined where there are
   * none, or no one table.
   */
  lookupOf?(input: string): InnerValue | undefined;
  /**
   * The value that an output is cut from, such as all masks of a SAM whose export leaves one out; undefined where it is not
   * cut. A task that wants the value names it in `PreparedTask.outputs`.
   */
  slicedFrom?(output: string): string | undefined;
  /**
   * The scores of which an output is made by Softmax, LogSoftmax or Sigmoid, where a model ends in probabilities; undefined
   * where it does not. Losses are defined on scores: the logarithm of a probability that is almost 0 loses its digits and its
   * gradient. A task that wants the scores names them in `PreparedTask.outputs`.
   */
  logitsOf?(output: string): string | undefined;
  /**
   * The model for smaller inputs, as `PreparedTask.inputSizes` has them. A task that may do without asks first.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph cannot follow
   */
  withInputSizes?(sizes: InputSizes): TaskModel;
  /** What the task has saved with the adapter that answers, by `PreparedTask.finish`. */
  readonly learned?: Readonly<Record<string, unknown>> | undefined;
  /** Sizes of inputs with which what was merged into it was trained, as {@link AdapterNotes} have them; absent for most. */
  readonly trainedSizes?: AdapterNotes['inputSizes'];
}

/** A model that can be run: what `openModel` gives. */
export interface RunnableModel extends TaskModel {
  /** The files of a model of several, each a model of its own; none for a model of one. */
  readonly parts: readonly RunnableModel[];
  /** The same model with values inside the graph among its outputs, such as what {@link TaskModel.headInput} names. */
  withOutputs(values: readonly string[]): RunnableModel;
  withInputSizes?(sizes: InputSizes): RunnableModel;
  /** Loads it, with the adapters by the name that `session.run` chooses them by. */
  session(options?: RunnableOptions): Promise<RunnableSession>;
}

/** A loaded {@link RunnableModel}: an {@link AdapterSession}, or what runs for it, such as the queue of a server. */
export type RunnableSession = Pick<
  AdapterSession,
  'inputNames' | 'outputNames' | 'provider' | 'mixesRows' | 'run' | 'bind' | 'release'
>;

/** How many examples one run may take: one where they, or their padding, would change each other's answers. */
export function rowsPerRun({ mixesRows }: Pick<RunnableSession, 'mixesRows'>, batchSize: number): number {
  return mixesRows ? 1 : batchSize;
}

/** How a {@link RunnableModel} is loaded. */
export interface RunnableOptions {
  /** Adapters by the names that runs choose them with; none by default. */
  readonly adapters?: Readonly<Record<string, Adapter>>;
  /** Accept adapters that say they were trained on other weights; false by default. */
  readonly allowBaseMismatch?: boolean;
  /** Where to run; `auto` by default. */
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

/** A value inside the graph, and the module that reads it. */
export interface HeadInput extends InnerValue {
  /** Path of the module. */
  readonly module: string;
}

/** Type and shape of a graph input or output; `dims` is undefined where the file does not say. */
export interface GraphPort {
  /** The element type. */
  readonly type: DataType;
  /** One size or symbol per dimension. */
  readonly dims: readonly (number | string)[] | undefined;
}
