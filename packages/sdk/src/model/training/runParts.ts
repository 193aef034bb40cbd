/** @file What a training run is made of, once all settings are checked and the graphs are there. */

import type { Adapter } from '../../adapter/adapter.ts';
import type { BasePrecision } from '../../ops/precision/precision.ts';
import type { PreparedTask } from '../../plugin/preparedTask.ts';
import type { PrefixReport } from '../../train/prefix/prefixOptions.ts';
import type { Trainer } from '../../train/trainer.ts';
import type { ConcreteProvider, ProviderReport } from '../../runtime/session.ts';
import type { BatchQueue } from './batchQueue.ts';
import type { RunIdentity } from './checkpoints/checkpoint.ts';
import type { CheckpointFolder } from './checkpoints/checkpointFolder.ts';
import type { RunState } from './checkpoints/runState.ts';
import type { Evaluator } from './evaluator.ts';
import type { CheckedOptions } from './options/options.ts';

/** What a run is made of. */
export interface RunParts {
  readonly trainer: Trainer;
  readonly data: PreparedTask;
  readonly queue: BatchQueue;
  readonly options: CheckedOptions;
  /** Examples in a batch, on average. */
  readonly batchSize: number;
  readonly steps: number;
  /** The learning rate of a step, counted from 0. */
  readonly rate: (step: number) => number;
  /** Undefined where nothing is measured during the run. */
  readonly evaluator: Evaluator | undefined;
  /** Steps from one evaluation to the next. */
  readonly evaluateEvery: number;
  readonly checkpoints: CheckpointFolder | undefined;
  readonly identity: RunIdentity;
  /** In what the base computes, where that is not float32. */
  readonly precision?: BasePrecision | undefined;
  readonly versions: Readonly<Record<string, string>>;
  readonly provider: ConcreteProvider;
  readonly trainableParameters: number;
  readonly prefix: PrefixReport;
  readonly makeAdapter: () => Adapter;
  /** Adds what is learned from the finished adapter. */
  readonly finish?: (adapter: Adapter) => Promise<Adapter>;
  readonly reportProvider: () => Promise<ProviderReport>;
  /** Where a run that goes on begins. */
  readonly from?: { readonly step: number; readonly state: RunState; readonly best: Adapter | undefined } | undefined;
  /** What there is to say before the first step. */
  readonly warnings: readonly string[];
}
