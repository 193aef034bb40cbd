/** @file Speech recognition on real recordings: what Whisper tiny.en learns of Spanish, with the settings of the Python script beside. */

import { type Adapter, evaluate, openModel, train } from '@onnx-lora/sdk';
import { ShuffledBatches, scheduleOf } from '@onnx-lora/sdk/core';
import { readSpeechData, speechFamilies, speechRecognition } from '@onnx-lora/speech';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { peakMb } from './largeModel.ts';

/** Adapted part, and length of the window in training. */
export interface RecognitionCase {
  readonly where: 'all' | 'decoder';
  readonly context: 'auto' | 'full';
}

/** Results of one side. */
export interface RecognitionFigures {
  /** Error rates of the test recordings. */
  readonly before: { readonly wer: number; readonly cer: number };
  readonly after: { readonly wer: number; readonly cer: number };
  /** Seconds of the training. */
  readonly seconds: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
  /** Peak memory until the end of the training. */
  readonly peakMb: number;
}

/** Compared cases; the decoder's layers learn from states of the encoder that are computed once. */
export const recognitionCases: readonly RecognitionCase[] = [
  { where: 'all', context: 'auto' },
  { where: 'all', context: 'full' },
  { where: 'decoder', context: 'full' },
];

/** As in the Python script. */
const settings = {
  steps: 64,
  batchSize: 8,
  lr: 1e-3,
  warmupSteps: 10,
  weightDecay: 0.01,
  seed: 0,
  threads: 2,
} as const;
const targets = {
  all: ['q_proj', 'v_proj'],
  decoder: String.raw`.*decoder\.layers\.\d+\.(self_attn|encoder_attn)\.(q_proj|v_proj)`,
} as const;

/** The program runs from a folder three levels below the project's. */
const shared = fileURLToPath(new URL('../../../../shared', import.meta.url));
/** The model, laid out like its published repository, and recordings with a manifest. */
export const recognitionModel: string = path.join(shared, 'models/whisper-tiny.en');
export const recordings: string = path.join(shared, 'data/asterisk-es');

/** Order for the Python script, with the same batches and learning rates. */
export async function recognitionOrder({ where }: RecognitionCase): Promise<object> {
  const { steps, batchSize, lr, warmupSteps: warmup, seed } = settings;
  const { train: records } = await readSpeechData(recordings);
  const sampler = new ShuffledBatches(records.length, batchSize, seed);
  const rate = scheduleOf('linear', { steps, warmup });
  const each = Array.from({ length: steps }, (_, step) => step);
  return {
    targets: targets[where],
    batches: each.map(() => sampler.next().value.map((i) => path.relative(recordings, records[i]!.audio as string))),
    rates: each.map((step) => lr * rate(step)),
  };
}

/** Trains one case in this process. */
export async function recognitionOf({ where, context }: RecognitionCase): Promise<RecognitionFigures> {
  const whisper = await openModel(recognitionModel, { families: speechFamilies });
  // As the data's notes say it is scored.
  const scoring = { normalizer: 'basic', removeDiacritics: true } as const;
  const task = speechRecognition(recordings, { evalSplit: 'test', contextSeconds: context, ...scoring });
  const lora = { r: 8, loraAlpha: 16, targetModules: targets[where] };
  const run = await train(whisper, { ...settings, task, lora });
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { adapter } = await run.done;
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  const peak = peakMb();
  const rates = async (measured: { readonly adapter?: Adapter }): Promise<RecognitionFigures['before']> => {
    const { metrics } = await evaluate(whisper, { ...measured, task, batchSize: 8, threads: settings.threads });
    return { wer: metrics['wer']!, cer: metrics['cer']! };
  };
  return {
    before: await rates({}),
    after: await rates({ adapter }),
    seconds,
    cpu: (used.user + used.system) / 1e6,
    peakMb: peak,
  };
}
