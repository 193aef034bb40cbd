/** @file The contract for a domain that supplies examples for classification, labelling and regression. */

import type { TaskSuggestion, NewHead, PreparedTask, ReportRequest } from '../plugin/preparedTask.ts';
import type { Batch, Dataset } from '../plugin/dataset.ts';
import type { Feeds } from '../runtime/tensor.ts';
import type { ReportSection } from '../plugin/reportSection.ts';
import type { SettingRow } from '../plugin/settings.ts';
import type { TaskModel } from '../plugin/taskModel.ts';
import type { SplitData } from '../data/splits/splits.ts';
import { balancedWeights } from './classification/lossWeights.ts';
import type { HeadPort, TaskHead } from './classification/chooseHead.ts';
import type { ClassAnswer } from './classification/calibration.ts';
import type { ClassMetricName } from './classification/classificationMetrics.ts';
import type { LabelMeasures } from '../statistics/labelMeasure.ts';
import type { NumberScores } from '../statistics/numberMeasure.ts';

/** An example with its target. */
export type Labelled<Item, Target> = Item & {
  /** The target: index of a class, zeros and ones for labels, or numbers. */
  readonly target: Target;
  /** In training, the number of examples drawn before this one. */
  readonly draw?: number;
};

/** The labels and location of a record. */
export interface RecordTruth {
  /** Location, at the start of a sentence: `labels.csv, line 12`. */
  readonly place: string;
  /** Its class, or its labels. */
  readonly labels?: readonly string[] | undefined;
  /** Numbers to predict; NaN where missing. */
  readonly values?: readonly number[] | undefined;
}

/** Kind of a task's predictions. */
export type AnswerKind = 'classes' | 'labels' | 'numbers';

/** A dataset of records with targets. */
export interface LabelledDataset<Item, Target, Record = unknown> extends Dataset<Labelled<Item, Target>> {
  /** The records. */
  readonly records: readonly Record[];
  /** Target of each record. */
  readonly targets: readonly Target[];
  /** Index of each example's record, if a record may give several examples, such as windows. */
  readonly recordOf?: readonly number[];
}

/** The choice between the model's own head and a new one. */
export interface HeadOption {
  /**
   * `auto`, the default, keeps the model's own head if it knows the labels, or gives the same number of values; it
   * fails if most labels are known but a few are not, since those may be misspelt. `new` always makes a head, `keep`
   * never does.
   */
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
}

/** {@link HeadOption} as a setting. */
export const headSetting: SettingRow<'auto' | 'new' | 'keep'> = {
  kind: 'choice',
  of: ['auto', 'new', 'keep'],
  description: 'auto (a new head where the model does not know the labels; the default), new, or keep.',
};

/** A domain's examples, not read before `open`. */
export interface Examples<Item extends object, Record> {
  /** Examples in the plural, for messages: `images`. */
  readonly noun: string;
  /** In the singular: `image`. */
  readonly one: string;
  /** Name of the data. */
  readonly root: string;
  /** The domain's multi-label task, suggested for examples with several labels. */
  readonly tagging?: string;
  /** Reads the data. @throws OnnxLoraError `MODEL_UNSUPPORTED`, `CONFIG_INVALID`, `DATA_INVALID`, `FILE_NOT_FOUND` */
  open(model: TaskModel, kind: AnswerKind): Promise<OpenedExamples<Item, Record>>;
}

/** Examples for a model. */
export interface OpenedExamples<Item extends object, Record> {
  /** Records by split, and names of the numbers to predict. */
  readonly data: SplitData<Record> & {
    readonly warnings?: readonly string[] | undefined;
    readonly alsoFits?: readonly TaskSuggestion[] | undefined;
    readonly valueNames?: readonly string[] | undefined;
  };
  /** How the data are used, in words. */
  readonly notes?: readonly string[];
  /** Labels and location of a record. */
  readonly known: (record: Record) => RecordTruth;
  /** The model's own head for whole examples, if any. */
  readonly own?: HeadPort | undefined;
  /** Attaches a head to the features of a model without one; absent if not supported. */
  readonly attach?: (model: TaskModel, labels: readonly string[]) => TaskHead;
  /** Makes a dataset for training or evaluation, with a target for each record. */
  dataset<Target>(
    records: readonly Record[],
    targets: readonly Target[],
    isTrained: boolean,
  ): LabelledDataset<Item, Target, Record> | Promise<LabelledDataset<Item, Target, Record>>;
  /** Feeds of a batch; checks that the model accepts its size. */
  feeds(examples: readonly Labelled<Item, unknown>[]): Feeds;
  /** Targets that identify windows, see {@link recordTargets}. */
  targets?(examples: readonly Labelled<Item, unknown>[]): Feeds;
  /** Blends training examples; the batch then has float32 `[batch, classes]` in place of class indices. */
  readonly blend?: (inputs: Feeds, classes: readonly number[], count: number, draw: number) => Batch;
  /** Values inside the graph that {@link OpenedExamples.sections} needs. */
  readonly outputs?: readonly string[];
  /** Names of the metrics, in order; the usual ones by default. */
  readonly metrics?: {
    /** For classes. */
    readonly classes?: readonly ClassMetricName[];
    /** For labels. */
    readonly labels?: readonly (keyof LabelMeasures | 'loss')[];
    /** For numbers. */
    readonly numbers?: readonly (keyof NumberScores)[];
  };
  /** A report section with mistakes, the most confident first. */
  mistakes?(worst: readonly ClassAnswer[], shown: ShownMistakes<Record>): Promise<ReportSection | undefined>;
  /** Report sections before and after those of the task. */
  sections?<Target>(found: FoundAnswers<Item, Record, Target>, request: ReportRequest): Promise<DomainSections>;
}

/** Context of shown mistakes. */
export interface ShownMistakes<Record> {
  /** Names of the classes. */
  readonly labels: readonly string[];
  /** Records, by the indices of the answers. */
  readonly records: readonly Record[];
  /** A sentence with the number of mistakes. */
  readonly text: string;
}

/** A domain's report sections. */
export interface DomainSections {
  /** Before the task's. */
  readonly first?: readonly ReportSection[];
  /** After the task's. */
  readonly last?: readonly ReportSection[];
}

/** Answers about the held-out records. */
export interface FoundAnswers<Item extends object, Record, Target> {
  /** Kind of the predictions. */
  readonly kind: AnswerKind;
  /** Names of the classes, labels or numbers. */
  readonly labels: readonly string[];
  /** Training data. */
  readonly train: LabelledDataset<Item, Target, Record>;
  /** Held-out data. */
  readonly validation: LabelledDataset<Item, Target, Record>;
  /** Makes batches. */
  readonly collate: (examples: readonly Labelled<Item, Target>[]) => Promise<Batch>;
  /** `[records, labels]`: probabilities or numbers, computed on access. */
  readonly answers: Float64Array;
  /** Truth of each record: the index of its class in a list, zeros and ones, or numbers. */
  readonly truths: readonly (readonly number[])[];
  /** Turns a target into such a list. */
  readonly numbersOf: (target: Target) => readonly number[];
  /** Threshold probability of each label. */
  readonly thresholds?: readonly number[];
}

/** How records are loaded. */
export interface RecordLoading<Record, Item> {
  /** Loads a record; `draw` as in {@link Dataset.get}. */
  load(record: Record, draw: number | undefined, index: number): Promise<Item>;
  /** Name of a record in messages. */
  nameOf(record: Record): string;
  /** Key of a record, see {@link Dataset.keyOf}. */
  keyOf?(record: Record): Promise<string>;
  /** Labels of a record, if it has any. */
  labelsOf?(record: Record): readonly string[] | undefined;
  /** Whether examples are not augmented; true by default. */
  readonly isDeterministic?: boolean;
}

/** A dataset that loads each record on demand. */
export class RecordDataset<Record, Item extends object, Target> implements LabelledDataset<Item, Target, Record> {
  readonly records: readonly Record[];
  readonly targets: readonly Target[];
  readonly isDeterministic: boolean;
  /** See {@link Dataset.keyOf}. */
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

  get length(): number {
    return this.records.length;
  }

  /** Sampling weights that balance labels; undefined without labels. */
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

/** Adds the initial values of a probe to a task's new head. */
export function probedHead(
  head: NewHead | undefined,
  probe: NonNullable<NewHead['probe']>,
): Pick<PreparedTask, 'head'> {
  return head ? { head: { ...head, probe } } : {};
}

/** Training and held-out examples with targets, and the common parts of all kinds of tasks. */
export interface BoundExamples<Item extends object, Record, Target> {
  readonly train: LabelledDataset<Item, Target, Record>;
  readonly validation: LabelledDataset<Item, Target, Record> | undefined;
  readonly collate: (examples: readonly Labelled<Item, Target>[]) => Promise<Batch>;
  /** Target of each held-out example. */
  readonly heldTruths: readonly Target[];
  /** Target of a training example, for probes. */
  readonly targetOf: (example: number) => Target;
  readonly shared: Pick<PreparedTask<Labelled<Item, Target>>, 'train' | 'validation' | 'notes' | 'warnings' | 'alsoFits' | 'outputs' | 'collate'>; // prettier-ignore
}

/** Attaches targets to records; `targetsOf` makes the tensors of a batch. */
export async function withTargets<Item extends object, Record, Target>(
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
