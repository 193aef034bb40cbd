/** @file What a domain says of its own for the tasks that answer with classes, labels or numbers about whole examples. */

import type { AlsoFits, NewHead, PreparedTask, ReportRequest } from '../plugin/preparedTask.ts';
import type { Batch, Dataset } from '../plugin/dataset.ts';
import type { Feeds } from '../runtime/tensor.ts';
import type { ReportSection } from '../plugin/reportSection.ts';
import type { TaskModel } from '../plugin/taskModel.ts';
import type { SplitData } from '../data/splits/splits.ts';
import { balancedWeights } from './classification/lossWeights.ts';
import type { HeadPort, TaskHead } from './classification/chooseHead.ts';
import type { ClassAnswer } from './classification/calibration.ts';
import type { ClassMetricName } from './classification/classificationMetrics.ts';
import type { LabelMeasures } from '../statistics/labelMeasure.ts';
import type { NumberScores } from '../statistics/numberMeasure.ts';

/** An example with what is to be said of it. */
export type Labelled<Item, Target> = Item & {
  /** What is to be predicted: the number of a class, zeros and ones for labels, or numbers. */
  readonly target: Target;
  /** In training, how many examples were drawn before. */
  readonly draw?: number;
};

/** What is known of a record. */
export interface KnownOfRecord {
  /** Where it is, at the beginning of a sentence: `labels.csv, line 12`. */
  readonly place: string;
  /** Its class, or any number of labels. */
  readonly labels?: readonly string[] | undefined;
  /** Numbers to predict; NaN where one is not known. */
  readonly values?: readonly number[] | undefined;
}

/** What a task is to learn of the examples. */
export type AnswerKind = 'classes' | 'labels' | 'numbers';

/** Examples with what is known of them. */
export interface LabelledDataset<Item, Target, Record = unknown> extends Dataset<Labelled<Item, Target>> {
  /** The records. */
  readonly records: readonly Record[];
  /** What is to be predicted of each record. */
  readonly targets: readonly Target[];
  /** Number of each example's record, where a record may be several examples, such as windows. */
  readonly recordOf?: readonly number[];
}

/** Whether the model gets a new head. */
export interface HeadOption {
  /**
   * `auto`, the default, keeps the model's own where that knows the data's labels, or gives as many numbers; where a few of the
   * labels are unknown to it, that is an error, for they may be misspelt. `new` always makes one, `keep` never.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
}

/** The examples of a domain: what a task is made from. They read nothing before they are opened. */
export interface Examples<Item extends object, Record> {
  /** What examples are called in messages, in the plural: `images`. */
  readonly noun: string;
  /** One of them: `image`. */
  readonly one: string;
  /** What the data is called. */
  readonly root: string;
  /** The task of this domain that gives any number of labels, to be named to who has several where one is wanted. */
  readonly tagging?: string;
  /**
   * Reads the data, and finds what goes into the model and what comes out.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND`
   */
  open(model: TaskModel, kind: AnswerKind): Promise<OpenedExamples<Item, Record>>;
}

/** Examples that fit a model. */
export interface OpenedExamples<Item extends object, Record> {
  /** The records in their splits, and what the values are called. */
  readonly data: SplitData<Record> & {
    readonly warnings?: readonly string[] | undefined;
    readonly alsoFits?: readonly AlsoFits[] | undefined;
    readonly valueNames?: readonly string[] | undefined;
  };
  /** How the data are used, in words. */
  readonly notes?: readonly string[];
  /** What the data say of a record. */
  readonly known: (record: Record) => KnownOfRecord;
  /** The output of the model's own head, where it has one for whole examples. */
  readonly own?: HeadPort | undefined;
  /** The head on the features of a model without one; absent where none is attached. */
  readonly attach?: (model: TaskModel, labels: readonly string[]) => TaskHead;
  /** A dataset of records to be trained on or measured on; `targets` has one for each. */
  dataset<Target>(
    records: readonly Record[],
    targets: readonly Target[],
    isTrained: boolean,
  ): LabelledDataset<Item, Target, Record> | Promise<LabelledDataset<Item, Target, Record>>;
  /** What the model is fed for a batch; it checks that the model takes so many. */
  feeds(examples: readonly Labelled<Item, unknown>[]): Feeds;
  /** Targets by which windows are put together: {@link recordTargets}. */
  targets?(examples: readonly Labelled<Item, unknown>[]): Feeds;
  /** Blends examples that are trained on: the batch with float32 `[batch, classes]` in place of classes. */
  readonly blend?: (inputs: Feeds, classes: readonly number[], count: number, draw: number) => Batch;
  /** Values inside the graph that {@link OpenedExamples.sections} needs. */
  readonly outputs?: readonly string[];
  /** What is measured, by their names and in their order; what is usual by default. */
  readonly metrics?: {
    /** Of classes. */
    readonly classes?: readonly ClassMetricName[];
    /** Of labels. */
    readonly labels?: readonly (keyof LabelMeasures | 'loss')[];
    /** Of numbers. */
    readonly numbers?: readonly (keyof NumberScores)[];
  };
  /** Shows mistakes, the most confident first. */
  mistakes?(worst: readonly ClassAnswer[], shown: ShownMistakes<Record>): Promise<ReportSection | undefined>;
  /** What the report shows before and after what it shows of the kind of answers. */
  sections?<Target>(found: FoundAnswers<Item, Record, Target>, request: ReportRequest): Promise<DomainSections>;
}

/** What mistakes are shown with. */
export interface ShownMistakes<Record> {
  /** Names of the classes. */
  readonly labels: readonly string[];
  /** The records by the numbers of the answers. */
  readonly records: readonly Record[];
  /** How many mistakes there are. */
  readonly text: string;
}

/** Sections of a domain's own. */
export interface DomainSections {
  /** Before those of the kind of answers. */
  readonly first?: readonly ReportSection[];
  /** After them. */
  readonly last?: readonly ReportSection[];
}

/** The answers about the held-out records. */
export interface FoundAnswers<Item extends object, Record, Target> {
  /** What they are. */
  readonly kind: AnswerKind;
  /** Names of the classes, labels or numbers. */
  readonly labels: readonly string[];
  /** What was trained on. */
  readonly train: LabelledDataset<Item, Target, Record>;
  /** What is held out. */
  readonly validation: LabelledDataset<Item, Target, Record>;
  /** Makes batches of them. */
  readonly collate: (examples: readonly Labelled<Item, Target>[]) => Promise<Batch>;
  /** `[records, labels]`: probabilities, or numbers; made when they are asked for. */
  readonly answers: Float64Array;
  /** What is true of each record: the number of its class as a list of one, zeros and ones, or numbers. */
  readonly truths: readonly (readonly number[])[];
  /** The same of a target. */
  readonly numbersOf: (target: Target) => readonly number[];
  /** From which probability each label counts as given. */
  readonly thresholds?: readonly number[];
}

/** How the examples of records are loaded. */
export interface RecordLoading<Record, Item> {
  /** Loads a record; `draw` as {@link Dataset.get} has it. */
  load(record: Record, draw: number | undefined, index: number): Promise<Item>;
  /** What a record is called in messages. */
  nameOf(record: Record): string;
  /** What tells a record from all others, see {@link Dataset.keyOf}. */
  keyOf?(record: Record): Promise<string>;
  /** Its labels; undefined where it says nothing of labels. */
  labelsOf?(record: Record): readonly string[] | undefined;
  /** Whether an example never changes; true by default. */
  readonly isDeterministic?: boolean;
}

/** Records, each loaded when asked for. */
export class RecordDataset<Record, Item extends object, Target> implements LabelledDataset<Item, Target, Record> {
  readonly records: readonly Record[];
  readonly targets: readonly Target[];
  readonly isDeterministic: boolean;
  /** What tells a record from all others, where that is known. */
  readonly keyOf?: (index: number) => Promise<string>;
  readonly #loading: RecordLoading<Record, Item>;

  /** `targets` has one for each record. */
  constructor(records: readonly Record[], targets: readonly Target[], loading: RecordLoading<Record, Item>) {
    this.records = records;
    this.targets = targets;
    this.#loading = loading;
    this.isDeterministic = loading.isDeterministic ?? true;
    if (loading.keyOf) this.keyOf = (index) => loading.keyOf!(records[index]!);
  }

  /** How many records there are. */
  get length(): number {
    return this.records.length;
  }

  /** How often each is drawn where every label comes equally often; undefined where there are no labels. */
  get weights(): readonly number[] | undefined {
    const labels = this.records.map((record) => this.#loading.labelsOf?.(record));
    return labels.some(Boolean) ? balancedWeights(labels.map((own = []) => own)) : undefined;
  }

  nameOf(index: number): string {
    const record = this.records[index];
    return record === undefined ? String(index) : this.#loading.nameOf(record);
  }

  async get(index: number, draw?: number): Promise<Labelled<Item, Target>> {
    const record = this.records[index];
    if (record === undefined) throw new RangeError(`There is no example ${index}: the dataset has ${this.length}.`);
    const item = await this.#loading.load(record, draw, index);
    return { ...item, target: this.targets[index]!, ...(draw === undefined ? {} : { draw }) };
  }
}

/** The new head that a task needs, with first values that a probe finds. */
export function probedHead(
  head: NewHead | undefined,
  probe: NonNullable<NewHead['probe']>,
): Pick<PreparedTask, 'head'> {
  return head ? { head: { ...head, probe } } : {};
}

/** Examples of both parts with their targets, and what every kind of task has alike. */
export interface BoundExamples<Item extends object, Record, Target> {
  readonly train: LabelledDataset<Item, Target, Record>;
  readonly validation: LabelledDataset<Item, Target, Record> | undefined;
  readonly collate: (examples: readonly Labelled<Item, Target>[]) => Promise<Batch>;
  /** What is true of each held-out example. */
  readonly heldTruths: readonly Target[];
  /** What the new head should say of an example that is trained on, for probes. */
  readonly targetOf: (example: number) => Target;
  readonly shared: Pick<PreparedTask<Labelled<Item, Target>>, 'train' | 'validation' | 'notes' | 'warnings' | 'alsoFits' | 'outputs' | 'collate'>; // prettier-ignore
}

/**
 * Binds records to what is to be said of them.
 *
 * @param targetsOf targets of a batch for the loss and the metrics
 */
export async function boundExamples<Item extends object, Record, Target>(
  opened: OpenedExamples<Item, Record>,
  targetOf: (record: Record) => Target,
  targetsOf: (targets: readonly Target[]) => Feeds,
): Promise<BoundExamples<Item, Record, Target>> {
  const { data, notes, outputs } = opened;
  const train = await opened.dataset(data.train, data.train.map(targetOf), true);
  const validation = data.validation && (await opened.dataset(data.validation, data.validation.map(targetOf), false));
  const collate: BoundExamples<Item, Record, Target>['collate'] = async (examples) => ({
    inputs: opened.feeds(examples),
    targets: { ...targetsOf(examples.map(({ target }) => target)), ...opened.targets?.(examples) },
  });
  const ofExample = (of: typeof train, example: number): Target => of.targets[of.recordOf?.[example] ?? example]!;
  return {
    train,
    validation,
    collate,
    heldTruths: validation ? Array.from({ length: validation.length }, (_, i) => ofExample(validation, i)) : [],
    targetOf: (example) => ofExample(train, example),
    shared: {
      train,
      ...(validation && { validation }),
      ...(notes && { notes }),
      ...(data.warnings && { warnings: data.warnings }),
      ...(data.alsoFits && { alsoFits: data.alsoFits }),
      ...(outputs && { outputs }),
      collate,
    },
  };
}
