/** @file What a plugin may bring beside families, preprocessors and tasks: each a small interface of its own. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { GradientRule } from '../../autodiff/vjp.ts';
import type { Initializer } from '../../lora/init/initializer.ts';
import type { Rule as InferenceRule } from '../../ops/inference/site.ts';
import type { Runtime } from '../../runtime/session.ts';
import type { Optimizer } from '../../train/optimizers/optimizer.ts';
import type { TrainEvent } from '../events.ts';
import type { ModelProto } from '../../graph/proto.ts';
import type { Metrics } from '../../statistics/measure.ts';
import type { ModelFamily } from '../families/family.ts';
import type { ReportSection } from '../reportSection.ts';
import type { RunnableModel } from '../taskModel.ts';

/** Data with a name, or a kind of source, that becomes something that tasks read: `--data cells`, `--data parquet:cells.pq`. */
export interface DatasetFactory {
  /** Letters, digits and `-`, two at least. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /**
   * Makes the data ready.
   *
   * @returns the path that a task takes as its data
   * @throws OnnxLoraError `DATA_INVALID`, `FILE_NOT_FOUND`
   */
  prepare(request: DatasetRequest): Promise<string>;
}

/** What a {@link DatasetFactory} is asked for. */
export interface DatasetRequest {
  /** What stands behind the colon in `name:source`; empty for a name alone. */
  readonly source: string;
  /**
   * A folder of its own, which stays from one call to the next: what is complete there need not be made again. The process
   * may end at any time, so that what is not complete must not look as if it were: `writeFileAtomic`.
   */
  readonly folder: string;
  /** To be told what takes long: `downloading cells.tar, 12 of 340 MB`. */
  readonly onProgress?: (message: string) => void;
}

/** First values of adapters by a name that `initLoraWeights` and `--init` take. */
export interface InitializerFactory {
  /** What it is called; not a name that the SDK has. */
  readonly name: string;
  /** Makes one for one adapter. */
  create(): Initializer;
}

/** An optimizer by a name that `optimizer` takes, alone or with settings: `{ name: 'muon', momentum: 0.95 }`. */
export interface OptimizerFactory {
  /** What it is called; not a name that the SDK has. */
  readonly name: string;
  /**
   * Makes one; its state begins empty.
   *
   * @param settings all that stood beside the name
   * @throws OnnxLoraError `CONFIG_INVALID` for a setting that cannot be
   */
  create(settings: Readonly<Record<string, unknown>>): Optimizer;
}

/**
 * What the SDK must know of an operator that it does not know: how it is differentiated, what its outputs look like. ONNX
 * Runtime must have a kernel for it.
 */
export interface OperatorRule {
  /** Domain of the operator, such as `com.microsoft`; empty for ONNX's own. */
  readonly domain: string;
  /** Its type, such as `Inverse`. */
  readonly op: string;
  /** A function per input that emits its cotangent, or null for one that no gradient flows into. */
  readonly gradient?: GradientRule;
  /** Types and shapes of the outputs; without, they are what the file says, or unknown. */
  readonly infer?: InferenceRule;
}

/** A place where graphs run, by a name that `provider` takes: another build of ONNX Runtime, other options, another machine. */
export interface ProviderFactory {
  /** What it is called; not a name that ONNX Runtime has. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Makes what runs there; called once, when it is first asked for. @throws OnnxLoraError `PROVIDER_UNAVAILABLE` */
  create(): Runtime;
}

/**
 * Makes a model's graphs of what a folder holds where it has no .onnx file, such as a checkpoint of torch. `openModel` asks it
 * unasked.
 */
export interface ModelBuilder {
  /** What it is called. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Whether a folder, which is there, is laid out as it knows it. */
  recognises(folder: string): boolean;
  /** Files of a repository on the hub that it needs, where that has no .onnx file; none where it can do nothing with them. */
  choose(files: readonly string[]): readonly string[];
  /**
   * Builds the graphs. Weights should stay references into their files.
   *
   * @param request families that know names of modules
   * @returns graphs by the names that their files would have, without the ending: `model`, or `vision_encoder` and others
   * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `FILE_INVALID`, `FILE_NOT_FOUND`
   */
  build(
    folder: string,
    request: { readonly families: readonly ModelFamily[] },
  ): Promise<ReadonlyMap<string, ModelProto>>;
}

/** Follows a training run, such as by writing to a service that draws curves. */
export interface Tracker {
  /**
   * Takes in an event, in their order. What is thrown becomes a warning, and the tracker hears no more. A promise is not
   * waited for: keep it, and wait for it in `close`.
   */
  add(event: TrainEvent): void | Promise<void>;
  /** The run has ended, or the process is about to. It is called once, and not after a failure. */
  close(): void | Promise<void>;
}

/** What a tracker may know of the run before it begins. */
export interface TrackedRun {
  /** Folder of the run. */
  readonly folder: string;
  /** Steps made before, by the run that this one goes on with; 0 for a new one. */
  readonly firstStep: number;
  /** What was set, as it stands in `config.yaml`. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A tracker by a name that `--track` takes. */
export interface TrackerFactory {
  /** What it is called; not a name that the SDK has. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** @throws OnnxLoraError `CONFIG_INVALID`, such as for a key that is not set */
  create(run: TrackedRun): Tracker | Promise<Tracker>;
}

/** A finished run, for sections of its report. */
export interface FinishedRun {
  /** Name of the task. */
  readonly task: string;
  /** The base model. */
  readonly model: RunnableModel;
  /** The adapter that was trained. */
  readonly adapter: Adapter;
  /** Mean loss of the batch by step; of a long run some of the steps. */
  readonly losses: readonly (readonly [step: number, loss: number])[];
  /** Metrics of the held-out data before and after; absent where nothing was held out. */
  readonly before?: Metrics;
  /** With the adapter. */
  readonly after?: Metrics;
}

/** Sections that a plugin adds to the report of every run, whatever its task. */
export interface SectionFactory {
  /** What it is called, for messages. */
  readonly name: string;
  /** May give none. What is thrown becomes a warning, and the report lacks the sections. */
  sections(run: FinishedRun): readonly ReportSection[] | Promise<readonly ReportSection[]>;
}
