/** @file What a model is asked to learn: how examples become feeds, the loss, the metrics, and what a prediction is. */

import type { Adapter } from '../adapter/adapter.ts';
import type { AdapterSession } from '../adapter/session.ts';
import type { AdapterNotes, HeadPool } from '../adapter/adapterNotes.ts';
import type { GraphBuilder, Value } from '../graph/builder.ts';
import type { Provider } from '../runtime/session.ts';
import type { DataType, Feeds, Tensor } from '../runtime/tensor.ts';

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
   * where no layer gives it. A task that wants the value names it in {@link PreparedTask.outputs}.
   */
  headInput?(output: string): HeadInput | undefined;
  /**
   * What the whole head reads that gives an output: the features behind all layers of its name, such as `lm_head.dense` and
   * `lm_head.decoder` of a masked language model. `module` is the first of them, `name` the value that it reads; undefined
   * where no layer gives the output.
   */
  featuresOf?(output: string): HeadInput | undefined;
  /**
   * The value that an output is cut from, such as all masks of a SAM whose export leaves one out; undefined where it is not
   * cut. A task that wants the value names it in {@link PreparedTask.outputs}.
   */
  slicedFrom?(output: string): string | undefined;
  /**
   * The scores of which an output is made by Softmax, LogSoftmax or Sigmoid, where a model ends in probabilities; undefined
   * where it does not. Losses are defined on scores: the logarithm of a probability that is almost 0 loses its digits and its
   * gradient. A task that wants the scores names them in {@link PreparedTask.outputs}.
   */
  logitsOf?(output: string): string | undefined;
  /**
   * The model for smaller inputs, as {@link PreparedTask.inputSizes} has them. A task that may do without asks first.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` where the graph cannot follow
   */
  withInputSizes?(sizes: NonNullable<PreparedTask['inputSizes']>): TaskModel;
  /** What the task has saved with the adapter that answers, by {@link PreparedTask.finish}. */
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
  withInputSizes?(sizes: NonNullable<PreparedTask['inputSizes']>): RunnableModel;
  /** Loads it, with the adapters by the name that `session.run` chooses them by. */
  session(options?: RunnableOptions): Promise<AdapterSession>;
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
  readonly units?: { readonly factor: readonly number[]; readonly offset: readonly number[] };
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

/** A value inside the graph, and the module that reads it. */
export interface HeadInput extends GraphPort {
  /** Name of the value. */
  readonly name: string;
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

/** A finite list of examples, each loaded when asked for. */
export interface Dataset<Example> {
  /** How many examples there are. */
  readonly length: number;
  /**
   * Loads example `index`, from 0 to `length − 1`.
   *
   * @param draw in training, how many examples were drawn before this one: what is random about an example, such as an
   *   augmentation, is seeded by it, so that each time differs and a run that goes on after an interruption sees the same.
   *   Absent where nothing may be random, as in evaluation.
   */
  get(index: number, draw?: number): Promise<Example>;
  /** What an example is called in messages, such as the path of its file. */
  nameOf?(index: number): string;
  /**
   * What tells an example from all others, wherever it lies and whatever it is called, such as the content of its file
   * (`contentKey`); of an example that is put together of several, such as a group of one kind, what tells each of these. By it
   * a run knows later what it was trained on. Nothing is known of datasets without it.
   */
  keyOf?(index: number): Promise<string | readonly string[]>;
  /**
   * True when an example never changes, as there is no random augmentation: the same index always means the same row of
   * `inputs` in every batch of the same shape, whatever else is in the batch. What frozen layers make of it may then be kept
   * and used again. False when left out.
   */
  readonly isDeterministic?: boolean;
  /** Inputs that differ from draw to draw even so, such as prompts for an image that itself stays the same. */
  readonly changingInputs?: readonly string[];
  /**
   * How often each example is drawn, compared with others, in training with `sampling: 'balanced'`: 1 over the number of
   * examples of its class, where it has a class.
   */
  readonly weights?: readonly number[] | undefined;
  /**
   * How long each example is, in any unit, for training with `sampling: 'length'`, whose batches are of examples of about one
   * length, so that little of a batch is padding.
   */
  readonly lengths?: readonly number[] | undefined;
}

/** One batch: what the graph is fed, and what the loss compares its outputs with. */
export interface Batch {
  /** One tensor `[batch, …]` per input of the graph. */
  readonly inputs: Feeds;
  /** Tensors for the loss and the metrics, by names that the task chooses. */
  readonly targets: Feeds;
}

/** A number with a name, such as `{ accuracy: 0.87 }`. */
export type Metrics = Readonly<Record<string, number>>;

/** Metrics of which some are always there: `MetricsNamed<'accuracy' | 'loss'>`. There may be others. */
export type MetricsNamed<Name extends string> = Metrics & Readonly<Record<Name, number>>;

/** Collects outputs batch by batch and sums them up. */
export interface MetricCollector<Result extends Metrics = Metrics> {
  /** Takes in one batch: what the model gave, and what `collate` gave beside its feeds. */
  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void;
  /** The metrics over all batches seen. The first entry is the one by which runs are compared. */
  result(): Result;
  /** Intervals that hold metrics with a probability of 95%, by their names, such as those of a bootstrap. */
  intervals?(): Readonly<Record<string, readonly [low: number, high: number]>>;
  /** For the report: counts `[true class, predicted class]` with the classes' names, where the task has classes. */
  confusion?(): { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] };
}

/**
 * The answer for one example: `{ label: '7', score: 0.98 }`. The command line prints its words and numbers, or of an answer
 * with a `text` only that; `--json` and the file of `--out` have all of it. A value that is a `Uint8Array` is the
 * bytes of a PNG file, such as a mask, which the command line writes into the folder of `--out`.
 */
export type Prediction = Readonly<Record<string, unknown>>;

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
  /** Values inside the graph that it needs beside the graph's outputs, by name. */
  readonly outputs?: readonly string[];
  /** The head that the labels need and the model does not have. */
  readonly head?: NewHead;
  /**
   * Smaller sizes that inputs have in batches than the graph says, by input and axis: `{ input_features: { 2: 600 } }` for
   * clips of six seconds. Training uses the graph as it is for them, `model.withInputSizes`; `measure` and what the finished
   * adapter serves have the model as it is.
   */
  readonly inputSizes?: Readonly<Record<string, Readonly<Record<number, number>>>>;
  /**
   * Sizes as {@link PreparedTask.inputSizes} has them that inputs have in some of the batches that are trained on: such as clips
   * of which little is heard at first. The graph is rewritten for each, and the adapter notes the first of them.
   */
  readonly smallerInputs?: readonly NonNullable<PreparedTask['inputSizes']>[];
  /**
   * Makes one batch. Called ahead of the step that consumes it.
   *
   * @param progress in training, the share of its steps up to this one, which counts: 1 for the last. Absent where batches must
   *   not depend on it, as in evaluation.
   */
  collate(examples: readonly Example[], progress?: number): Promise<Batch>;
  /**
   * The loss of one batch as a graph fragment: a float32 scalar, from graph outputs and targets by name. A feed that it needs,
   * such as a mask of padding, is a target too.
   */
  loss(g: GraphBuilder, outputs: Readonly<Record<string, Value>>, targets: Readonly<Record<string, Value>>): Value;
  /**
   * How much a batch counts when the loss of a larger batch is the mean over its parts, such as its number of labels.
   * With it a large batch is computed in parts, which takes less memory; a loss that compares the rows of a batch with
   * each other must leave it out.
   */
  lossWeight?(targets: Feeds): number;
  /** A collector that has seen nothing yet. */
  metrics(): MetricCollector<During>;
  /**
   * Metrics that take more passes than one, such as the word error rate of text that is written token by token. Where there
   * is such, `evaluate` asks it in place of `metrics`, which go on to measure during training. The first entry is the one by
   * which models are compared.
   */
  measure?(request: MeasureRequest): Promise<Measurement<Scores>>;
  /**
   * Predictions of one batch, one per row, for programs that run the model themselves. The command line asks what
   * {@link TaskFactory} makes instead.
   *
   * @param inputs the feeds that gave the outputs, such as a mask of padding that a mean over tokens leaves out
   */
  decode(outputs: Readonly<Record<string, Tensor>>, inputs: Feeds): Prediction[];
  /**
   * What is to be learned when the adapter is trained, such as a temperature. It is saved with the adapter as JSON, and a
   * task or predictor for the model with this adapter finds it as {@link TaskModel.learned}.
   */
  finish?(request: ReportRequest): Promise<Readonly<Record<string, unknown>>>;
  /** What the run's report shows beside curves, metrics and confusion. */
  report?(request: ReportRequest): Promise<readonly ReportSection[]>;
}

/** What {@link PreparedTask.measure} finds. */
export interface Measurement<Scores extends Metrics = Metrics> {
  /** Metrics by name; the first is the one by which models are compared. */
  readonly metrics: Scores;
  /** Intervals that hold metrics with a probability of 95%, by their names. */
  readonly intervals?: Readonly<Record<string, readonly [low: number, high: number]>>;
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

/** A section of the report, as data: how it looks is the report's affair. */
export type ReportSection = { readonly title: string; readonly text?: string } & (
  | { readonly kind: 'gallery'; readonly pictures: readonly ReportPicture[] }
  | {
      readonly kind: 'table';
      /** Headings of the columns. */
      readonly columns: readonly string[];
      /** One cell per column. */
      readonly rows: readonly (readonly (string | number)[])[];
    }
  | { readonly kind: 'clips'; readonly clips: readonly ReportClip[] }
  | ({ readonly kind: 'scatter' } & ReportChart)
  | ({ readonly kind: 'lines' } & ReportChart)
  | ({ readonly kind: 'histogram' } & ReportHistogram)
  | ({ readonly kind: 'heatmap' } & ReportHeatmap)
  | { readonly kind: 'letters'; readonly rows: readonly ReportLetters[] }
  | { readonly kind: 'logo'; readonly x: string; readonly y: string; readonly columns: readonly ReportLogoColumn[] }
);

/** A picture with a caption, such as an image with the mask that was found. */
export interface ReportPicture {
  /** The bytes of a PNG, JPEG or WebP file. */
  readonly image: Uint8Array;
  /** What it shows, for those who cannot see it. */
  readonly alt: string;
  /** The line below it. */
  readonly caption: string;
  /** Shown larger, for several images beside each other in one picture. */
  readonly isWide?: boolean;
}

/** A recording with lines of text that are compared, such as what was said and what was heard. */
export interface ReportClip {
  /** The line above it, such as the recording's name. */
  readonly title: string;
  /** The bytes of a WAV file, to be played. */
  readonly audio?: Uint8Array;
  /** The texts, one below the other, piece by piece in line. */
  readonly lines: readonly {
    /** What the line is: `said`, `heard before`. */
    readonly label: string;
    /** Its pieces, and how each compares: words that are `wrong`, `missing` or `extra`. */
    readonly pieces: readonly { readonly text: string; readonly mark?: 'wrong' | 'missing' | 'extra' }[];
  }[];
}

/** Points or lines in two dimensions, a colour per series. */
export interface ReportChart {
  /** What the horizontal axis is. */
  readonly x: string;
  /** What the vertical axis is. */
  readonly y: string;
  /** Points `[x, y]` by series; the name is the legend's. */
  readonly series: readonly { readonly name: string; readonly points: readonly (readonly [x: number, y: number])[] }[];
  /** Draws the line on which both are the same, with one scale for both, such as for predicted over true values. */
  readonly diagonal?: boolean;
}

/** How often values are how large. */
export interface ReportHistogram {
  /** What the values are. */
  readonly x: string;
  /** Borders of the bins, one more than there are bins. */
  readonly borders: readonly number[];
  /** How many values lie in each bin. */
  readonly counts: readonly number[];
}

/** A number for each of rows by columns, such as the effect of every substitution at every position. */
export interface ReportHeatmap {
  /** What the columns are. */
  readonly x: string;
  /** What the rows are. */
  readonly y: string;
  /** Names of the rows, from the top. */
  readonly rows: readonly string[];
  /** Names of the columns, from the left. */
  readonly columns: readonly string[];
  /** By row, then column; null where there is none. */
  readonly values: readonly (readonly (number | null)[])[];
  /** The value that is neither good nor bad: colours part there. Without it they go from the least to the most. */
  readonly centre?: number;
  /** Cells with a mark, such as the residues of the wild type, as `[row, column]`. */
  readonly marked?: readonly (readonly [row: number, column: number])[];
}

/** A sequence whose letters are coloured, such as by how much attention they get. */
export interface ReportLetters {
  /** The line above it, such as the sequence's name. */
  readonly title: string;
  /** The sequence. */
  readonly text: string;
  /** From 0 to 1, one per letter. */
  readonly values?: readonly number[];
  /** Lines of letters below, one for each of `text`: what is true, what was said. */
  readonly below?: readonly { readonly label: string; readonly text: string }[];
}

/** What stands at one position of a sequence logo. */
export interface ReportLogoColumn {
  /** What stands below the column, such as the position. */
  readonly label: string;
  /** Letters from the bottom to the top; a height of 1 is one unit of the `y` axis. */
  readonly letters: readonly { readonly letter: string; readonly height: number }[];
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

/** Makes tasks from the command line's words; a domain package brings one per task. */
export interface TaskFactory {
  /** The task's name on the command line: `--task`. */
  readonly name: string;
  /** One line for `--help`. */
  readonly description: string;
  /** Settings of its own, which the command line takes as `--set name=value`. */
  readonly settings?: readonly TaskSetting[];
  /** What the command line trains with where the user says nothing, in place of its own defaults. */
  readonly defaults?: Readonly<
    Partial<Record<'batchSize' | 'epochs' | 'lr' | 'warmupSteps', number>> & { sampling?: 'uniform' | 'length' }
  >;
  /** The task on this data. Reads no file yet. */
  create(options: TaskOptions): Task;
  /** Answers for new files; needs no labelled data. */
  predictor?(model: TaskModel, options?: PredictorOptions): Promise<Predictor>;
  /**
   * Answers that take more passes than one, such as text that is written token by token. A task that has it is asked for it
   * in place of `predictor`.
   */
  answerer?(model: RunnableModel, options?: AnswererOptions): Promise<Answerer>;
  /**
   * Answers for each record of files that hold many, such as the sequences of a FASTA file. A task that has it is asked for it
   * in place of the others.
   */
  recordAnswerer?(model: RunnableModel, options?: AnswererOptions): Promise<RecordAnswerer>;
}

/** Asks a model about the records of files, however many they are. */
export interface RecordAnswerer {
  /** Endings of the files that it reads, in lower case with the dot: `.fasta`, `.fasta.gz`. */
  readonly fileEndings: readonly string[];
  /**
   * Answers in the order of the records. Only some of them are in memory at a time, and the same source gives the same answers
   * in the same order.
   *
   * @param source a path, or the bytes of a file as they come, such as those of standard input
   * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the record and its line
   */
  answers(source: string | AsyncIterable<Uint8Array>, options?: RecordAnswersOptions): AsyncIterable<RecordAnswer>;
  /** What writes answers in a format of its own, such as `.npz`; undefined for paths whose ending it does not know. */
  writer?(path: string): RecordWriter | undefined;
  /** Endings that {@link RecordAnswerer.writer} knows. */
  readonly writerEndings?: readonly string[];
  /** What is to be shown of all answers that were given, such as a heat map. */
  sections?(): readonly ReportSection[];
  /** Frees what it has loaded. */
  release(): Promise<void>;
}

/** Options of {@link RecordAnswerer.answers}. */
export interface RecordAnswersOptions {
  /** Answers that are there already: so many are left out, and nothing is computed for them alone. 0 by default. */
  readonly skip?: number;
  /** Records that are computed at once, at most. */
  readonly batchSize?: number;
  /** Ends the answers before the next batch is computed. */
  readonly signal?: AbortSignal;
}

/** The answer about one record. */
export interface RecordAnswer {
  /** Begins with what the record is called: `{ id: 'sp|P69905|HBA_HUMAN', value: 0.71 }`. */
  readonly prediction: Prediction;
  /** Bytes of the source that were read, as far as it is known. */
  readonly read: number;
  /** Bytes of the source; absent where it has no end yet. */
  readonly total?: number;
}

/** Writes answers one by one, beside the file that there is to be, which appears with `finish`. */
export interface RecordWriter {
  /** Adds an answer. */
  write(prediction: Prediction): Promise<void>;
  /** All answers are there. */
  finish(): Promise<void>;
  /** Takes back what was written. */
  abort(): Promise<void>;
}

/** How an {@link Answerer} is made. */
export interface AnswererOptions extends PredictorOptions {
  /** How the model is to be loaded, adapters aside. */
  readonly load?: Omit<RunnableOptions, 'adapters'>;
}

/** Options of {@link Answerer.answers}. */
export interface AnswersOptions {
  /** How many sources may be answered at once. */
  readonly batchSize?: number;
  /** Hears of pieces of an answer as they come, such as the segments of a long recording. */
  readonly onPart?: (source: number, part: Prediction) => void;
}

/** Asks a model that answers in several passes about files that nobody has labelled. */
export interface Answerer {
  /**
   * An answer for each source, in their order, as soon as there is one. A source is a path, or the bytes of a file as they
   * come, such as those of standard input.
   *
   */
  answers(
    sources: readonly (string | AsyncIterable<Uint8Array>)[],
    options?: AnswersOptions,
  ): AsyncIterable<Prediction>;
  /** Frees what it has loaded. */
  release(): Promise<void>;
}

/** What is known of the answers that are wanted. */
export interface PredictorOptions {
  /** Values of the factory's own {@link TaskSetting | settings}. */
  readonly settings?: Readonly<Record<string, TaskSettingValue>>;
  /** The adapter that answers, which may bring labels of its own. */
  readonly adapter?: Adapter;
}

/** A setting that one task has and others have not. */
export interface TaskSetting {
  /** In camel case: `groupColumn`. */
  readonly name: string;
  /** What values it takes: `flag` is true or false, `texts` a list. */
  readonly kind: 'text' | 'number' | 'flag' | 'texts';
  /** One line for `--help`. */
  readonly description: string;
}

/** The value of a {@link TaskSetting}, of its kind. */
export type TaskSettingValue = string | number | boolean | readonly string[];

/** Asks a model about files that nobody has labelled. */
export interface Predictor {
  /** Values inside the graph that it needs beside the graph's outputs: `model.withOutputs` makes them outputs. */
  readonly outputs?: readonly string[];
  /** Feeds of one batch, a row per file. */
  feeds(files: readonly string[]): Promise<Feeds>;
  /**
   * Predictions of one batch, one per row.
   *
   * @param inputs the feeds that gave the outputs
   */
  decode(outputs: Readonly<Record<string, Tensor>>, inputs: Feeds): Prediction[];
}

/** A predictor whose answers are in the outputs alone, such as a classifier's. */
export interface OutputPredictor extends Predictor {
  /** Predictions of one batch, one per row. */
  decode(outputs: Readonly<Record<string, Tensor>>): Prediction[];
}

/** What the command line knows of the data. */
export interface TaskOptions {
  /** The path given as `--data`. */
  readonly data: string;
  /** Held-out data: a path, or a fraction of the data. */
  readonly validation?: string | number;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing. */
  readonly holdOut?: number;
  /** Seeds splits and augmentations. */
  readonly seed: number;
  /** Values of the factory's own {@link TaskSetting | settings}, of the right kinds; absent is the default. */
  readonly settings?: Readonly<Record<string, TaskSettingValue>>;
}

/** Turns files into exactly what a model is fed, by what its preprocessor's file says. */
export interface Preprocessor {
  /** The tensor of one file without the batch dimension: `[channels, height, width]` for an image. */
  preprocess(file: string): Promise<Tensor>;
}

/** Recognises a parsed `preprocessor_config.json` and makes its preprocessor. */
export interface PreprocessorFactory {
  /** The domain of its package, such as `vision`. */
  readonly domain: string;
  /** File endings it can read, in lower case with the dot: `.png`. */
  readonly fileEndings: readonly string[];
  /** True when it can make what this file describes. The first factory that says so wins. */
  recognises(config: Readonly<Record<string, unknown>>): boolean;
  /** @throws OnnxLoraError `CONFIG_INVALID` when the file asks for what is not supported, naming `path` */
  create(config: Readonly<Record<string, unknown>>, path: string): Preprocessor;
}
