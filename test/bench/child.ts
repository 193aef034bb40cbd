/** @file Work of child processes: time all cases in turn, or hold one case for its peak memory. */

import { openModel, type PrecisionName } from '@onnx-lora/sdk';
import { setTimeout } from 'node:timers/promises';
import { benchCases, type CaseName, caseNames, type LoadedCase, type SwapFigures, timeSwap } from './cases.ts';
import type { GrowthFigures } from './growthTimes.ts';
import type { DetectionFigures } from './detection.ts';
import type { ImageFigures } from './imageTimes.ts';
import { mergingOf, type OpeningFigures, openingOf, peakMb, rewritingOf, type WritingFigures } from './largeModel.ts';
import type { IdleOrder, LoadFigures, LoadOrder } from './serving/load.ts';
import type { RecognitionCase, RecognitionFigures } from './recognition.ts';
import type { PromptableCase, PromptableFigures } from './promptable.ts';
import type { BenchSettings } from './settings.ts';
import type { SoundFigures } from './soundTimes.ts';
import type { TextCase, TextFigures } from './texts.ts';
import type { TranscribeCase, TranscribeFigures } from './transcribe.ts';
import type { TrainingCase, TrainingFigures } from './training.ts';

/** The order that a child gets as JSON: to time cases, to open a model, or to open it and write it once more. */
export type ChildOrder =
  | CasesOrder
  | { readonly swap: string; readonly settings: BenchSettings }
  | { readonly open: string }
  | { readonly grow: string }
  | { readonly images: string }
  | { readonly sound: string }
  | { readonly load: LoadOrder }
  | { readonly idle: IdleOrder }
  | { readonly promptable: PromptableCase; readonly seed: number }
  | { readonly detection: number }
  | { readonly recognition: RecognitionCase }
  | { readonly transcribe: TranscribeCase }
  | { readonly texts: TextCase; readonly minilm: string; readonly seed: number; readonly precision: PrecisionName }
  | { readonly train: TrainingCase; readonly model: string; readonly steps: number }
  | WriteOrder;

/**
 * Order to open a model and write it to `write`, unchanged or with the adapter of the folder `merge` in its weights. Weights
 * beyond `inlineLimit` bytes go beside the file.
 */
export interface WriteOrder {
  readonly open: string;
  readonly write: string;
  readonly merge?: string;
  readonly inlineLimit?: number;
}

/** To run one case or all. */
export interface CasesOrder {
  readonly settings: BenchSettings;
  readonly model: string;
  /** Only this case, for its memory; all cases, for their times, without one. `idle` opens the model and runs nothing. */
  readonly peak?: CaseName | 'idle';
}

/** JSON printed by a child. */
export type ChildResult =
  | { readonly times: Record<CaseName, number[]> }
  | { readonly peakMb: number }
  | SwapFigures
  | TrainingFigures
  | ImageFigures
  | GrowthFigures
  | SoundFigures
  | LoadFigures
  | { readonly held: number }
  | DetectionFigures
  | PromptableFigures
  | TranscribeFigures
  | TextFigures
  | RecognitionFigures
  | OpeningFigures
  | WritingFigures;

/** Carries out the order in this process, and loads nothing else, since its memory is measured. */
export async function childWork(order: ChildOrder): Promise<ChildResult> {
  if ('write' in order) {
    return order.merge === undefined
      ? rewritingOf(order.open, order.write, order.inlineLimit)
      : mergingOf(order.open, order.merge, order.write);
  }
  if ('train' in order) return (await import('./training.ts')).timeSteps(order.model, order.train, order.steps);
  if ('promptable' in order) return (await import('./promptable.ts')).promptableOf(order.promptable, order.seed);
  if ('detection' in order) return (await import('./detection.ts')).detectionOf(order.detection);
  if ('recognition' in order) return (await import('./recognition.ts')).recognitionOf(order.recognition);
  if ('transcribe' in order) return (await import('./transcribe.ts')).transcribeOf(order.transcribe);
  if ('texts' in order)
    return (await import('./texts.ts')).textsOf(order.texts, order.minilm, order.seed, order.precision);
  if ('grow' in order) return (await import('./growthTimes.ts')).growthOf(order.grow);
  if ('images' in order) return (await import('./imageTimes.ts')).timeImages(order.images);
  if ('idle' in order) return (await import('./serving/load.ts')).holdConnections(order.idle);
  if ('load' in order) return (await import('./serving/load.ts')).sendLoad(order.load);
  if ('sound' in order) return (await import('./soundTimes.ts')).timeSound(order.sound);
  if ('open' in order) return openingOf(order.open);
  if ('swap' in order) return timeSwap(await openModel(order.swap), order.settings);
  const { settings, model, peak } = order;
  return peak === undefined
    ? { times: await timeAll(model, settings) }
    : { peakMb: await peakOf(peak, model, settings) };
}

/** Milliseconds of each case, round by round: each round runs every case once, so that a slow spell hits all alike. */
async function timeAll(file: string, settings: BenchSettings): Promise<Record<CaseName, number[]>> {
  const model = await openModel(file);
  const cases: { readonly times: number[]; readonly name: CaseName; readonly loaded: LoadedCase }[] = [];
  for (const name of caseNames) cases.push({ name, times: [], loaded: await benchCases[name].load(model, settings) });
  for (let round = -settings.warmUps; round < settings.rounds; round++) {
    for (const { times, loaded } of cases) {
      // Threads of the session before spin for a moment before they sleep.
      await setTimeout(20);
      const start = performance.now();
      await loaded.run();
      if (round >= 0) times.push(performance.now() - start);
    }
  }
  for (const { loaded } of cases) await loaded.release();
  return Object.fromEntries(cases.map(({ name, times }) => [name, times])) as Record<CaseName, number[]>;
}

/** Memory grows until the third run; none is timed. */
const RUNS_FOR_PEAK = 4;

async function peakOf(peak: CaseName | 'idle', file: string, settings: BenchSettings): Promise<number> {
  const model = await openModel(file);
  if (peak !== 'idle') {
    const loaded = await benchCases[peak].load(model, settings);
    for (let run = 0; run < RUNS_FOR_PEAK; run++) await loaded.run();
    await loaded.release();
  }
  return peakMb();
}
