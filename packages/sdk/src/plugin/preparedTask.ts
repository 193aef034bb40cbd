/** @file Tasks: datasets, collation, loss and metrics. */

import type { Adapter } from '../adapter/adapter.ts';
import type { HeadPool } from '../adapter/storage/adapterNotes.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { InputSizes } from '../ops/rewrites/inputSizes.ts';
import type { InnerFragment } from '../train/graph/innerFragments.ts';
import type { Feeds, Tensor } from '../runtime/tensor.ts';
import type { Dataset, Batch, MetricCollector } from './dataset.ts';
import type { Metrics } from '../statistics/measure.ts';
import type { Draws } from '../statistics/bootstrap.ts';
import type { ReportSection } from './reportSection.ts';
import type { RunnableModel, RunnableOptions, TaskModel } from './taskModel.ts';

/** Another task that fits the data. */
export interface TaskSuggestion {
  /** The name of the task. */
  readonly task: string;
  /** The column that it would learn. */
  readonly column: string;
}

/** A task for `train` and `evaluate`, whose metrics it types. Reads no file before `prepare`. */
export interface Task<Example = unknown, Scores extends Metrics = Metrics, During extends Metrics = Scores> {
  /** Name of the task, as for `--task`: `image-classification`. */
  readonly name: string;
  /** Reads the data and the model's folder, and checks them. @throws OnnxLoraError `DATA_INVALID`, `CONFIG_INVALID` */
  prepare(model: TaskModel): Promise<PreparedTask<Example, Scores, During>>;
}

/** A task bound to a model and data. `During` are metrics within a run, if {@link PreparedTask.measure} has others. */
export interface PreparedTask<Example = unknown, Scores extends Metrics = Metrics, During extends Metrics = Scores> {
  /** Training data. */
  readonly train: Dataset<Example>;
  /** Validation data; absent if the user gave none. */
  readonly validation?: Dataset<Example>;
  /** Warnings about the data, shown before the first step. */
  readonly warnings?: readonly string[];
  /** How the data are used, such as which part is held out and how it was chosen. */
  readonly notes?: readonly string[];
  /** Tasks that could learn columns of the data, for a user who named none. */
  readonly alsoFits?: readonly TaskSuggestion[] | undefined;
  /** Values inside the graph that the task reads besides the graph's outputs. */
  readonly outputs?: readonly string[];
  /** A new head, for labels that the model does not have. */
  readonly head?: NewHead;
  /**
   * Smaller input sizes for training, by input and axis: `{ pixel_values: { 2: 160, 3: 160 } }`. `measure` and the
   * finished adapter use the graph's own.
   */
  readonly inputSizes?: InputSizes;
  /**
   * Graph fragments that replace values inside the graph in training only, such as embeddings with noise:
   * `{ [model.lookupOf('input_ids').name]: (g, own, { targets: { noise } }) => (noise ? g.Add(own, noise) : own) }`.
   */
  readonly inside?: Readonly<Record<string, InnerFragment>>;
  /** Computes what batches need besides the data, deterministically, before the first batch and on resume. */
  begin?(request: BeginRequest): Promise<void>;
  /** Makes one batch. Called ahead of the step that uses it. */
  collate(examples: readonly Example[]): Promise<Batch>;
  /**
   * The loss of a batch as a graph fragment: a float32 scalar from outputs and targets by name. A feed that it needs,
   * such as a padding mask, is a target too.
   */
  loss(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, targets: Readonly<Record<string, Value>>): Value;
  /**
   * Weight of a batch in the mean over micro-batches, such as its number of labels. With it, large batches are split to
   * save memory. Leave it out for a loss that compares rows; see `comparingLoss`.
   */
  lossWeight?(targets: Feeds): number;
  /** A new metric collector. */
  metrics(): MetricCollector<During>;
  /** Narrows the outputs computed for {@link PreparedTask.metrics} in training. */
  readonly narrowed?: ReducedEvaluation;
  /**
   * Metrics that need several passes, such as a word error rate. `evaluate` calls it in place of `metrics`, which still
   * measure in training. Models are compared by the first entry.
   */
  measure?(request: MeasureRequest): Promise<Measurement<Scores>>;
  /** Learns something from the adapter, such as a temperature, saved with it as JSON: {@link TaskModel.learned}. */
  finish?(request: ReportRequest): Promise<Readonly<Record<string, unknown>>>;
  /** Report sections besides curves, metrics and confusion matrix. */
  report?(request: ReportRequest): Promise<readonly ReportSection[]>;
}

/** A head for labels that the model lacks: trained in full, and saved as PEFT's `modules_to_save`. */
export interface NewHead {
  /** The graph output that the head produces, such as `logits`; with `attach`, the features that it reads. */
  readonly output: string;
  /** Another output of such scores, whose heads are exchanged too, such as those of a detector's earlier layers. */
  readonly alsoOutput?: string;
  /** Labels of its outputs, in order. */
  readonly labels: readonly string[];
  /** For a model without a head: the new head reads `output` and produces `logits`. */
  readonly attach?: {
    /** How the features of tokens or patches are pooled. */
    readonly pool: HeadPool;
    /** Leading tokens that mean pooling skips, such as the class token; 0 by default. */
    readonly skip?: number;
    /** Attention mask `[batch, tokens]`, 0 for padding, which mean pooling skips. */
    readonly mask?: string;
    /**
     * First module of a head to replace, such as a masked language model's, from {@link TaskModel.featuresOf}. The new
     * head reads its input, and `output` becomes the new head's.
     */
    readonly inPlaceOf?: string;
    /** Name of the module; by default `classifier`, or `lm_head` where it answers per token. */
    readonly module?: string;
  };
  /** Standardises targets in the loss to mean 0 and deviation 1; the finished head gives `factor · y + offset`. */
  readonly targetScaling?: { readonly factor: readonly number[]; readonly offset: readonly number[] };
  /**
   * Initial values of an attached head, on the scale of the loss, from its input features: a linear probe. See Kumar et
   * al., "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution" (2022), LP-FT.
   */
  readonly probe?: (features: HeadFeatures) => HeadValues;
}

/** Input features of a head for training examples. */
export interface HeadFeatures {
  /** Indices of the examples in the dataset. */
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

/** Input of {@link PreparedTask.begin}. */
export interface BeginRequest {
  /** The model to be trained or measured. */
  readonly model: RunnableModel;
  /** The adapter on it, if any: the one that a run starts from, or the one to measure. */
  readonly adapter?: Adapter;
  /** How to load the model, except for adapters. */
  readonly options: Omit<RunnableOptions, 'adapters'>;
  /** Examples per run. */
  readonly batchSize: number;
  /** Call it after each batch with the number of examples done and the total. */
  readonly onBatch?: (done: number, total: number) => void;
}

/** A model and batches that take less memory in evaluation. */
export interface ReducedEvaluation {
  /** The model with fewer outputs. */
  readonly model: (model: RunnableModel) => RunnableModel;
  /** Splits a batch into batches that run in turn; metrics see all. `model` is the one from {@link ReducedEvaluation.model}. */
  readonly batches: (batch: Batch, model: RunnableModel) => readonly Batch[];
}

/** Result of {@link PreparedTask.measure}. */
export interface Measurement<Scores extends Metrics = Metrics> {
  /** Metrics by name; models are compared by the first. */
  readonly metrics: Scores;
  /** Metrics of bootstrap resamples, see {@link MetricCollector.draws}. */
  readonly draws?: Draws;
  /** Number of examples measured, where the request selected some. */
  readonly examples?: number;
}

/** Input of {@link PreparedTask.measure}: a model, and which held-out examples to measure it on. */
export interface MeasureRequest extends BeginRequest {
  /** Only the first `limit` held-out examples, or training examples where none are held out. */
  readonly limit?: number;
  /** Only these, by index. A task that supports it returns {@link Measurement.examples}. */
  readonly examples?: readonly number[];
  /** Called for an example that cannot be loaded, to skip it. Without it, the measurement fails. */
  readonly onBadSample?: (example: number, error: unknown) => void;
}

/** The finished run, for report sections. */
export interface ReportRequest extends Omit<BeginRequest, 'onBatch'> {
  /** Outputs of the model for one batch, without the adapter (`base`) or with it. */
  run(inputs: Feeds, which: 'base' | 'adapted'): Promise<Readonly<Record<string, Tensor>>>;
  /** The trained adapter. */
  readonly adapter: Adapter;
}
