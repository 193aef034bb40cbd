/** @file What a model is asked to learn: how examples become feeds, the loss, the metrics. */

import type { Adapter } from '../adapter/adapter.ts';
import type { HeadPool } from '../adapter/storage/adapterNotes.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { InputSizes } from '../ops/rewrites/inputSizes.ts';
import type { InnerFragment } from '../train/graph/inside.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { Dataset, Batch, MetricCollector } from './dataset.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { Draws } from '../statistics/bootstrap.ts';
import type { ReportSection } from './reportSection.ts';
import type { RunnableModel, RunnableOptions, TaskModel } from './taskModel.ts';

/** Another task that data fit. */
export interface AlsoFits {
  /** The name of the task. */
  readonly task: string;
  /** The column that it would learn. */
  readonly column: string;
}

/** What a user hands to `train` and `evaluate`, whose metrics are typed by it. Reads no file before `prepare`. */
export interface Task<Example = unknown, Scores extends Metrics = Metrics, During extends Metrics = Scores> {
  /** `image-classification`, …: the name that the command line's `--task` takes. */
  readonly name: string;
  /**
   * Reads what the data and the model's folder say, and checks that they fit together.
   *
   * @throws OnnxLoraError `DATA_INVALID` or `CONFIG_INVALID`, naming the file and the remedy
   */
  prepare(model: TaskModel): Promise<PreparedTask<Example, Scores, During>>;
}

/**
 * A task bound to one model and one set of data.
 *
 * `Scores` are the metrics of `evaluate`, `During` those of evaluations during a run; they differ where there is a
 * {@link PreparedTask.measure}.
 */
export interface PreparedTask<Example = unknown, Scores extends Metrics = Metrics, During extends Metrics = Scores> {
  /** What is trained on. */
  readonly train: Dataset<Example>;
  /** Held out for evaluation; absent when the user gave no such data. */
  readonly validation?: Dataset<Example>;
  /** What the user should know of the data before the first step. */
  readonly warnings?: readonly string[];
  /** How the data are used, in words, such as what was held out and how that was chosen. */
  readonly notes?: readonly string[];
  /** Tasks that would learn columns of the data, perhaps this one among them. A user that has named no task is asked for one. */
  readonly alsoFits?: readonly AlsoFits[] | undefined;
  /** Values inside the graph that it needs beside the graph's outputs, by name. */
  readonly outputs?: readonly string[];
  /** The head that the labels need and the model does not have. */
  readonly head?: NewHead;
  /**
   * Smaller sizes that inputs have in batches than the graph says, by input and axis: `{ pixel_values: { 2: 160, 3: 160 } }`.
   * Training uses the graph as it is for them, `model.withInputSizes`; `measure` and what the finished adapter serves have the
   * model as it is.
   */
  readonly inputSizes?: InputSizes;
  /**
   * What is read in place of values inside the graph while it is trained, by their names, such as embeddings with noise:
   * `{ [model.lookupOf('input_ids').name]: (g, own, { targets: { noise } }) => (noise ? g.Add(own, noise) : own) }`. Where the
   * model is measured it is as it is.
   */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /**
   * Computes what batches need beside the data, before the first is made and again where a run goes on, such as what the model
   * without an adapter says of each example. It must give the same each time.
   */
  begin?(request: BeginRequest): Promise<void>;
  /** Makes one batch. Called ahead of the step that consumes it. */
  collate(examples: readonly Example[]): Promise<Batch>;
  /**
   * The loss of one batch as a graph fragment: a float32 scalar, from graph outputs and targets by name. A feed that it needs,
   * such as a mask of padding, is a target too.
   */
  loss(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, targets: Readonly<Record<string, Value>>): Value;
  /**
   * How much a batch counts when the loss of a larger batch is the mean over its parts, such as its number of labels.
   * With it a large batch is computed in parts, which takes less memory; a loss that compares the rows of a batch with
   * each other must leave it out, and is best made by `comparingLoss`.
   */
  lossWeight?(targets: Feeds): number;
  /** A collector that has seen nothing yet. */
  metrics(): MetricCollector<During>;
  /** What is run for {@link PreparedTask.metrics} during training, where the model gives more than they read; the model as it is by default. */
  readonly narrowed?: Narrowed;
  /**
   * Metrics that take more passes than one, such as the word error rate of text that is written token by token. Where there
   * is such, `evaluate` asks it in place of `metrics`, which go on to measure during training. The first entry is the one by
   * which models are compared.
   */
  measure?(request: MeasureRequest): Promise<Measurement<Scores>>;
  /**
   * What is to be learned when the adapter is trained, such as a temperature. It is saved with the adapter as JSON, and a
   * task or predictor for the model with this adapter finds it as {@link TaskModel.learned}.
   */
  finish?(request: ReportRequest): Promise<Readonly<Record<string, unknown>>>;
  /** What the run's report shows beside curves, metrics and confusion. */
  report?(request: ReportRequest): Promise<readonly ReportSection[]>;
}

/** A head for labels that are not the model's: trained in full, and saved with the adapter as PEFT's `modules_to_save`. */
export interface NewHead {
  /** The graph output that the head gives, such as `logits`; with `attach`, the features that it reads. */
  readonly output: string;
  /** What its outputs stand for, in their order. */
  readonly labels: readonly string[];
  /** For a model without a head: the new one reads the output, and gives the output `logits`. */
  readonly attach?: {
    /** How the features of tokens or places become those of the example. */
    readonly pool: HeadPool;
    /** Tokens in front that a mean leaves out, such as the class token; 0 by default. */
    readonly skip?: number;
    /** The input `[batch, tokens]` that is 0 for padding, which a mean leaves out then. */
    readonly mask?: string;
    /**
     * For a model with a head of another kind, such as one for masked tokens: the first module of that head, as
     * {@link TaskModel.featuresOf} finds it. The new one reads what it reads, and `output` is the new one's from then on.
     */
    readonly inPlaceOf?: string;
    /** What the module is called; by default `classifier`, or `lm_head` where it answers for each token. */
    readonly module?: string;
  };
  /**
   * The loss sees outputs y of mean 0 and deviation 1, and the finished adapter gives `factor · y + offset`, a number of each
   * per output: its weight and bias take them in.
   */
  readonly targetScaling?: { readonly factor: readonly number[]; readonly offset: readonly number[] };
  /**
   * First values of an attached head in place of random ones, from what it reads of some of the examples that are trained on:
   * the head starts as a linear probe. They are in the units in which the loss counts.
   *
   * @see Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution" (2022), LP-FT
   */
  readonly probe?: (features: HeadFeatures) => HeadValues;
}

/** What a head reads of examples that are trained on. */
export interface HeadFeatures {
  /** Numbers of the examples in the dataset. */
  readonly examples: readonly number[];
  /** `[examples, width]`, row by row. */
  readonly data: Float32Array;
  /** Features per example. */
  readonly width: number;
}

/** Weights and biases of a linear head. */
export interface HeadValues {
  /** `[outputs, width]`, row by row. */
  readonly weight: Float32Array;
  /** `[outputs]`. */
  readonly bias: Float32Array;
}

/** What {@link PreparedTask.begin} may use. */
export interface BeginRequest {
  /** The model that is to be trained, as it is. */
  readonly model: RunnableModel;
  /** The adapter that the run begins with, where that is no new one. */
  readonly adapter?: Adapter;
  /** How the model is to be loaded, adapters aside. */
  readonly options: Omit<RunnableOptions, 'adapters'>;
  /** Examples per run. */
  readonly batchSize: number;
  /** To be called after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/** What is run in place of a model and a batch, so that what it gives fits into memory. */
export interface Narrowed {
  /** The model that gives less. */
  readonly model: (model: RunnableModel) => RunnableModel;
  /**
   * What it is fed, one after the other, of which metrics see all.
   *
   * @param model what {@link Narrowed.model} has given
   */
  readonly batches: (batch: Batch, model: RunnableModel) => readonly Batch[];
}

/** What {@link PreparedTask.measure} finds. */
export interface Measurement<Scores extends Metrics = Metrics> {
  /** Metrics by name; the first is the one by which models are compared. */
  readonly metrics: Scores;
  /** The metrics on sets of examples that are drawn: see {@link MetricCollector.draws}. */
  readonly draws?: Draws;
  /** How many examples it is of, where the request named some. */
  readonly examples?: number;
}

/** What is measured by {@link PreparedTask.measure}: a model, alone or with an adapter, on some of the held-out data. */
export interface MeasureRequest {
  /** The model to measure. */
  readonly model: RunnableModel;
  /** The base alone without one. */
  readonly adapter?: Adapter;
  /** How the model is to be loaded, adapters aside. */
  readonly options: Omit<RunnableOptions, 'adapters'>;
  /** Examples per run. */
  readonly batchSize: number;
  /** Only the first so many of the held-out examples, or of all where none are held out. */
  readonly limit?: number;
  /** Only these of them, by their numbers. A task that keeps to it says so by {@link Measurement.examples}. */
  readonly examples?: readonly number[];
  /** What becomes of an example that cannot be loaded: it fails the measurement unless this leaves it out. */
  readonly onBadSample?: (example: number, error: unknown) => void;
  /** To be called after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/** What a task may ask of the finished run for its sections of the report. */
export interface ReportRequest {
  /** Outputs of the model for one batch, without the adapter (`base`) or with it. */
  run(inputs: Feeds, which: 'base' | 'adapted'): Promise<Readonly<Record<string, Tensor>>>;
  /** Examples per run. */
  readonly batchSize: number;
  /** For answers that take more passes than one. */
  readonly model: RunnableModel;
  /** The adapter that was trained. */
  readonly adapter: Adapter;
  /** How the model is to be loaded, adapters aside. */
  readonly options: Omit<RunnableOptions, 'adapters'>;
}
