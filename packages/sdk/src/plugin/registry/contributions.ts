/** @file The small contracts of a plugin besides families, preprocessors and tasks. */

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

/** Makes a named dataset, or a kind of source, into data for tasks: `--data cells`, `--data parquet:cells.pq`. */
export interface DatasetFactory {
  /** Letters, digits and `-`, at least two. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Prepares the data, and returns its path. @throws OnnxLoraError `DATA_INVALID`, `FILE_NOT_FOUND` */
  prepare(request: DatasetRequest): Promise<string>;
}

/** Input of {@link DatasetFactory.prepare}. */
export interface DatasetRequest {
  /** The part after the colon in `name:source`; empty for a bare name. */
  readonly source: string;
  /** A persistent cache folder. The process may end at any time: write results with `writeFileAtomic`. */
  readonly folder: string;
  /** Reports progress: `downloading cells.tar, 12 of 340 MB`. */
  readonly onProgress?: (message: string) => void;
}

/** An initialisation of adapters, by a name for `initLoraWeights` and `--init`. */
export interface InitializerFactory {
  /** Its name; not one of the SDK's. */
  readonly name: string;
  /** Makes an initialiser for one adapter. */
  create(): Initializer;
}

/** An optimizer, by a name for `optimizer`, alone or with settings: `{ name: 'muon', momentum: 0.95 }`. */
export interface OptimizerFactory {
  /** Its name; not one of the SDK's. */
  readonly name: string;
  /** Makes an optimizer with empty state from the settings besides the name. @throws OnnxLoraError `CONFIG_INVALID` */
  create(settings: Readonly<Record<string, unknown>>): Optimizer;
}

/** Gradient and shape inference of an operator that the SDK does not know. ONNX Runtime must have a kernel for it. */
export interface OperatorRule {
  /** Domain of the operator, such as `com.microsoft`; empty for ONNX's own. */
  readonly domain: string;
  /** Its type, such as `Inverse`. */
  readonly op: string;
  /** Emits the cotangent of each input, one function per input; null for inputs without a gradient. */
  readonly gradient?: GradientRule;
  /** Types and shapes of the outputs; by default those that the file declares, if any. */
  readonly infer?: InferenceRule;
}

/** An execution provider, by a name for `provider`: another build of ONNX Runtime, other options, another machine. */
export interface ProviderFactory {
  /** Its name; not one of ONNX Runtime's. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Makes the runtime; called once, on first use. @throws OnnxLoraError `PROVIDER_UNAVAILABLE` */
  create(): Runtime;
}

/** Builds graphs from a folder without an .onnx file, such as a torch checkpoint. `openModel` tries all builders. */
export interface ModelBuilder {
  /** Its name. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Whether it supports an existing folder. */
  recognises(folder: string): boolean;
  /** The files that it needs of a hub repository without an .onnx file; none if it does not support them. */
  choose(files: readonly string[]): readonly string[];
  /**
   * Builds the graphs, keyed by file name without the ending: `model`, or `vision_encoder` and others. Weights should
   * stay references into their files.
   * @param request families, for the names of modules
   * @throws OnnxLoraError `MODEL_UNSUPPORTED`, `FILE_INVALID`, `FILE_NOT_FOUND`
   */
  build(
    folder: string,
    request: { readonly families: readonly ModelFamily[] },
  ): Promise<ReadonlyMap<string, ModelProto>>;
}

/** Follows a training run, such as for an experiment-tracking service. */
export interface Tracker {
  /** Receives events in order. An error becomes a warning and ends tracking. Await promises only in `close`. */
  add(event: TrainEvent): void | Promise<void>;
  /** Called once, when the run or the process ends; not after an error. */
  close(): void | Promise<void>;
}

/** A tracker's view of the run before it starts. */
export interface TrackedRun {
  /** Folder of the run. */
  readonly folder: string;
  /** Steps made by the run that this one resumes; 0 for a new one. */
  readonly firstStep: number;
  /** The settings, as in `config.yaml`. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A tracker, by a name for `--track`. */
export interface TrackerFactory {
  /** Its name; not one of the SDK's. */
  readonly name: string;
  /** One line for `onnx-lora plugins`. */
  readonly description: string;
  /** Makes the tracker. @throws OnnxLoraError `CONFIG_INVALID`, such as for a missing API key */
  create(run: TrackedRun): Tracker | Promise<Tracker>;
}

/** A finished run, for sections of its report. */
export interface FinishedRun {
  /** Name of the task. */
  readonly task: string;
  /** The base model. */
  readonly model: RunnableModel;
  /** The trained adapter. */
  readonly adapter: Adapter;
  /** Mean batch loss by step; a subset of the steps for a long run. */
  readonly losses: readonly (readonly [step: number, loss: number])[];
  /** Metrics on held-out data without the adapter; absent if nothing was held out. */
  readonly before?: Metrics;
  /** Metrics on held-out data with the adapter. */
  readonly after?: Metrics;
}

/** Adds sections to the report of every run, whatever its task. */
export interface SectionFactory {
  /** Its name, for messages. */
  readonly name: string;
  /** May return none. An error becomes a warning, and the sections are missing. */
  sections(run: FinishedRun): readonly ReportSection[] | Promise<readonly ReportSection[]>;
}
