/** @file Follows a run: progress, records, and advice where it fails. */

import {
  type PluginRegistry,
  type Model,
  OnnxLoraError,
  type TrainEvent,
  type TrainResult,
  type TrainingRun,
} from '@onnx-lora/sdk';
import type { ChannelExchange } from '@onnx-lora/cluster';
import type { Task } from '@onnx-lora/sdk/tasks';
import type { FallenBackNode, ProviderReport, StepEvent } from '@onnx-lora/sdk/plugin';
import type { Measured, RunHistory } from './history.ts';
import { Trackers } from '../plugins/trackers.ts';
import type { Progress } from '../terminal/progress.ts';
import { configOf, quoted, type ResolvedSettings } from '../settings/runConfig.ts';
import type { LoggedEvent, RunFolder } from './runFolder.ts';
import { clock, decimals, grouped, short, withInterval } from '../terminal/table.ts';

export interface Work {
  readonly model: Model;
  readonly task: Task;
  readonly settings: ResolvedSettings;
  readonly progress: Progress;
  readonly folder: RunFolder;
  readonly history: RunHistory;
  readonly registry: PluginRegistry;
  trackers?: Trackers;
  /** Before the first step, in training, or after the adapter is saved. */
  stage: 'before' | 'during' | 'after';
  readonly onEvent?: (event: TrainEvent) => void;
  /** Shares gradients with other workers of the training. */
  readonly part?: ChannelExchange;
}

/** Starts the trackers; stops the run when one refuses. */
export async function trackersOf({ settings, registry, folder, progress }: Work, run: TrainingRun): Promise<Trackers> {
  const about = { folder: folder.path, firstStep: run.firstStep, settings: configOf(settings) };
  try {
    return await Trackers.begin(settings.track, registry, about, (message) => progress.note(`warning: ${message}`));
  } catch (error) {
    run.stop();
    throw error;
  }
}

/** @throws OnnxLoraError of the disk, with the remaining files */
export async function saveAdapter(adapter: TrainingRun['adapter'], work: Work): Promise<void> {
  try {
    await adapter.save(work.folder.adapter, { overwrite: true });
  } catch (error) {
    throw withRemains(error, work);
  }
}

/** Follows the run to its end. @throws OnnxLoraError of the failed step, with the remaining files */
export async function complete(run: TrainingRun, work: Work): Promise<TrainResult> {
  try {
    for await (const event of run) tell(event, run, work);
    return await run.done;
  } catch (error) {
    if (error instanceof OnnxLoraError && error.code === 'LOSS_NOT_FINITE') throw withLowerRate(error, run, work);
    throw withRemains(error, work);
  }
}

const lastCheckpoints = new WeakMap<RunFolder, string>();

function withRemains(error: unknown, { folder }: Work): unknown {
  if (!(error instanceof OnnxLoraError)) return error;
  const checkpoint = lastCheckpoints.get(folder);
  const left =
    checkpoint === undefined
      ? `There is no adapter in "${folder.path}"; --overwrite lets another run take its place.`
      : `The run as it was then is in "${checkpoint}", which serves as an adapter too; once the cause is mended, go on with: ${resumeCommand(folder)}`;
  return new OnnxLoraError(error.code, `${error.message} ${left}`, { cause: error });
}

/** Larger adapter values have diverged: trained ones are about 1 or below. */
const GROWN = 1e3;

/** Advises on a non-finite loss: resume at a lower rate, or start again when the adapter has diverged. */
function withLowerRate(error: OnnxLoraError, run: TrainingRun, { folder, settings }: Work): OnnxLoraError {
  const lr = Number((settings.lr / 10).toPrecision(6));
  const checkpoint = lastCheckpoints.get(folder);
  const isGrown = [...run.adapter.tensors.values()].some(({ data }) =>
    (data as Float32Array).some((value) => !(Math.abs(value) < GROWN)),
  );
  const advice =
    checkpoint === undefined || isGrown
      ? `Start over with a tenth of the rate: onnx-lora train --config ${quoted(folder.config)} --lr ${lr} --overwrite`
      : `The run as it was then is in "${checkpoint}", which serves as an adapter too; go on from there with a tenth of the rate: ${resumeCommand(folder)} --lr ${lr}`;
  return new OnnxLoraError(error.code, `${error.message} ${advice}`, { cause: error });
}

/** The command that resumes a run. */
export function resumeCommand({ path }: RunFolder): string {
  return `onnx-lora train --resume ${quoted(path)}`;
}

/** Records an event for the report and in metrics.jsonl. */
export function record({ folder, history, progress }: Work, event: LoggedEvent): void {
  history.add(event);
  const failure = folder.log(event);
  if (failure) progress.note(`warning: metrics.jsonl cannot be written (${failure.message}); the training continues.`);
}

function tell(event: TrainEvent, run: TrainingRun, work: Work): void {
  const { progress, folder } = work;
  record(work, event);
  work.trackers?.add(event);
  work.onEvent?.(event);
  switch (event.type) {
    case 'step':
      progress.show(event.step, run.steps, progressLine(event));
      break;
    case 'evaluation':
      progress.note(`step ${event.step}: ${metricsLine(event)}${event.best ? '  (best)' : ''}`);
      break;
    case 'checkpoint':
      lastCheckpoints.set(folder, event.folder);
      work.part?.saved(event.step);
      break;
    case 'skipped':
    case 'warning':
      progress.note(`warning: ${event.message}`);
      break;
    case 'badSample':
      progress.note(`warning: left out (${event.count} so far): ${event.message}`);
      break;
  }
}

/** One line of progress. */
export function progressLine({ step, steps, loss, lr, samplesPerSecond, secondsLeft }: StepEvent): string {
  return `step ${String(step).padStart(String(steps).length)}/${steps}  loss ${decimals(loss)}  lr ${lr.toExponential(2)}  ${samplesPerSecond.toFixed(0)} samples/s  ${clock(secondsLeft)} left`;
}

/** Where operators run: `412 operators run on webgpu, 1 without a kernel on the CPU (Sign)`. */
export function placementLine({ provider, nodes, fallenBack }: ProviderReport): string {
  const named = (reason: FallenBackNode['reason']): string[] =>
    [...new Set(fallenBack.filter((node) => node.reason === reason).map(({ op }) => op))]; // prettier-ignore
  const count = (reason: FallenBackNode['reason']): number =>
    fallenBack.filter((node) => node.reason === reason).length;
  const parts = [`${grouped(nodes[provider] ?? 0)} operators run on ${provider}`];
  const [whole, missing] = [count('shape-arithmetic'), count('no-kernel')];
  if (whole > 0) parts.push(`${whole} on whole numbers on the CPU (${named('shape-arithmetic').join(', ')})`);
  if (missing > 0) parts.push(`${missing} without a kernel on the CPU (${named('no-kernel').join(', ')})`);
  return parts.join(', ');
}

/** Metrics on one line: `loss 0.12  accuracy 0.95`. */
export function metricsLine({ metrics, intervals }: Pick<Measured, 'metrics' | 'intervals'>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${withInterval(short(value), intervals?.[name])}`)
    .join('  ');
}
