/** @file Texts on real data: what encoders and a small language model learn, with the settings of the Python script beside. */

import { openvinoPlugin } from '@onnx-lora/openvino';
import { providerOf } from './settings.ts';
import { evaluate, type LoraOptions, openModel, type PrecisionName, train, type TrainOptions } from '@onnx-lora/sdk';
import {
  chat,
  readConversations,
  readTaggedTexts,
  readTextData,
  textClassification,
  textPlugin,
  textRetrieval,
  tokenClassification,
} from '@onnx-lora/text';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { peakMb } from './largeModel.ts';

/** Learned task, and adapted layers. */
export interface TextCase {
  readonly task: 'sections' | 'tokens' | 'pairs' | 'answers';
  readonly targets: 'q,v' | 'all';
  /** Measured metric. */
  readonly metric: 'accuracy' | 'recall@1' | 'loss';
}

/** Results of one side. */
export interface TextFigures {
  /** The metric on the test part. */
  readonly value: number;
  /** Seconds of the training. */
  readonly seconds: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
  /** Peak memory until the end of the training. */
  readonly peakMb: number;
}

/** Compared cases. */
export const textCases: readonly TextCase[] = [
  { task: 'sections', targets: 'q,v', metric: 'accuracy' },
  { task: 'sections', targets: 'all', metric: 'accuracy' },
  { task: 'tokens', targets: 'q,v', metric: 'accuracy' },
  { task: 'tokens', targets: 'all', metric: 'accuracy' },
  { task: 'pairs', targets: 'q,v', metric: 'recall@1' },
  { task: 'answers', targets: 'all', metric: 'loss' },
];

/** The program runs from a folder three levels below the project's. */
const shared = fileURLToPath(new URL('../../../../shared', import.meta.url));
/** The program that fetches MiniLM's weights into a folder. */
export const getMiniLm: string = path.join(shared, 'models/minilm-l3/get.py');
/** A small LLaMA, laid out like its published repository. */
export const smallLlama: string = path.join(shared, 'models/llama-tiny');
/** Descriptions of packages: with sections, as pairs, and as conversations. */
export const packages: string = path.join(shared, 'data');

const targetsOf = {
  'q,v': ['query', 'value'],
  all: ['query', 'key', 'value', 'attention.output.dense', 'intermediate.dense', 'output.dense'],
} as const;

/** As in the Python script. Batches are of about one length, as the command line has them unasked, but where rows are compared. */
const rates = { lr: 1e-3, weightDecay: 0, schedule: 'linear', warmupSteps: 0, threads: 1 } as const;

interface Subject {
  readonly model: string;
  readonly lora: LoraOptions;
  /** With the test part held out, or without held-out data. */
  readonly task: (isHeldOut: boolean) => Promise<TrainOptions['task']>;
  readonly options: Omit<TrainOptions, 'task'>;
}

function subjectOf({ task, targets }: TextCase, minilm: string): Subject {
  const lora = { r: 8, loraAlpha: 16, targetModules: targetsOf[targets] };
  if (task === 'sections') {
    return {
      model: minilm,
      lora,
      task: async (isHeldOut) => {
        const { test, ...data } = await readTextData(path.join(packages, 'debian-sections/sections.csv'), {}, 'label');
        return textClassification(
          { ...data, ...(isHeldOut ? { validation: test! } : {}) },
          { maxLength: 64, baselines: false },
        );
      },
      options: { ...rates, steps: 404, batchSize: 16, sampling: 'length' },
    };
  }
  if (task === 'tokens') {
    return {
      model: minilm,
      lora,
      task: async (isHeldOut) => {
        const { test, ...data } = await readTaggedTexts(path.join(packages, 'wordnet-pos'));
        return tokenClassification({ ...data, ...(isHeldOut ? { validation: test! } : {}) }, { maxLength: 64 });
      },
      options: { ...rates, steps: 438, batchSize: 16, sampling: 'length' },
    };
  }
  if (task === 'pairs') {
    return {
      model: minilm,
      lora,
      task: async (isHeldOut) => {
        const columns = { text: 'query', second: 'document' };
        const { test, ...data } = await readTextData(path.join(packages, 'debian-pairs/pairs.csv'), { columns });
        return textRetrieval(
          { ...data, ...(isHeldOut ? { validation: test! } : {}) },
          { maxLength: 96, loss: 'info-nce', temperature: 0.05 },
        );
      },
      options: { ...rates, steps: 75, batchSize: 32 },
    };
  }
  return {
    model: smallLlama,
    lora: { r: 8, loraAlpha: 16 },
    task: async (isHeldOut) => {
      const { test, ...data } = await readConversations(path.join(packages, 'debian-instructions'));
      return chat({ ...data, ...(isHeldOut ? { validation: test! } : {}) });
    },
    options: { ...rates, lr: 3e-3, warmupSteps: 10, clip: { norm: 1 }, steps: 300, batchSize: 16, sampling: 'length' },
  };
}

/** Trains one case with one seed in this process, and measures it on the test part. */
export async function textsOf(
  each: TextCase,
  minilm: string,
  seed: number,
  precision: PrecisionName,
): Promise<TextFigures> {
  const { model: source, lora, task: read, options } = subjectOf(each, minilm);
  const model = await openModel(source, { plugins: [textPlugin, openvinoPlugin], precision });
  const provider = providerOf(precision);
  const task = await read(false);
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { adapter } = await (await train(model, { ...options, task, lora, seed, provider })).done;
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  const peak = peakMb();
  const { metrics } = await evaluate(model, { task: await read(true), adapter, threads: 1, provider });
  return { value: metrics[each.metric]!, seconds, cpu: (used.user + used.system) / 1e6, peakMb: peak };
}
