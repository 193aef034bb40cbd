/**
 * @file Accuracy lost to a base in integers or bfloat16: the same trainings in each precision, with several seeds. Each result is a line
 * of a file, so that interrupted work can resume.
 */

import { evaluate, openModel, type PrecisionName, train, type TrainOptions } from '@onnx-lora/sdk';
import { readSequenceData, scienceFamilies, sequenceRegression } from '@onnx-lora/science';
import { openvinoPlugin } from '@onnx-lora/openvino';
import { imageClassification, promptableSegmentation, readImageData, visionFamilies } from '@onnx-lora/vision';
import { existsSync } from 'node:fs';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { digitsOfExamples, type Digits, vit } from './accuracy.ts';
import { providerOf } from './settings.ts';
import { resultsIn } from './windows.ts';
import { promptableModel, promptableSettings, promptableTargets, stamps } from './promptable.ts';

/** Result of one training on held-out data. */
export interface PrecisionResult {
  readonly name: string;
  readonly precision: PrecisionName;
  readonly seed: number;
  readonly value: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
}

interface PrecisionCase {
  readonly name: string;
  readonly metric: string;
  /** Factor from the metric to points. */
  readonly points: number;
  readonly model: string;
  readonly families: typeof visionFamilies;
  readonly task: (seed: number) => Promise<TrainOptions['task']>;
  readonly options: Omit<TrainOptions, 'task'>;
}

const project = fileURLToPath(new URL('../../../', import.meta.url));
const data = path.join(project, '../shared/data');
const esm = path.join(project, 'docs/examples/models/esm2-tiny');
const molecules = path.join(project, 'test/fixtures/chemberta-small');
const seeds = [0, 1, 2] as const;
const allLinear = { r: 8, loraAlpha: 16, targetModules: 'all-linear' } as const;

function casesIn(folder: string): PrecisionCase[] {
  const digits = (shift: 'turned' | 'inverted'): PrecisionCase => ({
    name: `digits, ${shift === 'turned' ? 'rotated' : shift}`,
    metric: 'accuracy',
    points: 100,
    model: vit,
    families: visionFamilies,
    task: async () => {
      const own = path.join(folder, shift);
      const { readDigits, writeDigits } = (await import(digitsOfExamples)) as Digits;
      if (!existsSync(own)) {
        const all = await readDigits();
        await writeDigits(path.join(own, 'train'), all.slice(0, 2000), shift);
        await writeDigits(path.join(own, 'test'), all.slice(8000), shift);
      }
      const images = await readImageData(own);
      return imageClassification({ ...images, validation: images.test! });
    },
    options: { lora: allLinear, steps: 200, batchSize: 32, lr: 5e-3 },
  });
  return [
    digits('turned'),
    digits('inverted'),
    {
      name: 'stamps, masks by the encoder of a small SAM',
      metric: 'meanIou',
      points: 100,
      model: promptableModel,
      families: visionFamilies,
      task: async (seed) => {
        const images = await readImageData(stamps);
        const held = { ...images, validation: images.test! };
        return promptableSegmentation(held, { masks: 'one', loss: { bce: 1, iou: 0 }, seed });
      },
      options: { ...promptableSettings, lora: { r: 8, loraAlpha: 16, targetModules: promptableTargets.encoder } },
    },
    {
      name: 'fitness of GB1, two_vs_rest, ESM-2 of 1.2 million parameters',
      metric: 'spearman',
      points: 100,
      model: esm,
      families: scienceFamilies,
      task: async () => {
        const { test, ...own } = await readSequenceData(path.join(data, 'gb1/gb1.csv'), {
          columns: { split: 'two_vs_rest' },
        });
        return sequenceRegression({ ...own, validation: spaced(test!, 1500) }, { maxLength: 58 });
      },
      options: { lora: allLinear, warmupSteps: 0.1, epochs: 20, lr: 1e-3, batchSize: 16 },
    },
    {
      name: 'solubility of molecules (ESOL), ChemBERTa of 0.3 million parameters',
      metric: 'spearman',
      points: 100,
      model: molecules,
      families: scienceFamilies,
      task: async () =>
        sequenceRegression(
          await readSequenceData(path.join(data, 'esol/esol.csv'), { validation: 0.2, splitBy: 'scaffold' }),
        ),
      options: { lora: allLinear, warmupSteps: 0.1, epochs: 10, lr: 2e-3, batchSize: 16 },
    },
  ];
}

function spaced<Item>(items: readonly Item[], count: number): Item[] {
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

/**
 * Trains and measures the cases missing in the file, and prints all results.
 *
 * @param precisions names, the one first that others are held against
 * @param only cases that the regular expression matches
 */
export async function comparePrecisions(
  file: string,
  precisions: readonly PrecisionName[],
  only: RegExp,
  print: (line: string) => void,
): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-precisions-'));
  try {
    for (const each of casesIn(folder).filter(({ name }) => only.test(name))) {
      for (const seed of seeds) {
        for (const precision of precisions) {
          const known = await resultsIn<PrecisionResult>(file);
          if (known.some((one) => one.name === each.name && one.seed === seed && one.precision === precision)) continue;
          const found = { name: each.name, precision, seed, ...(await resultOf(each, precision, seed)) };
          await appendFile(file, `${JSON.stringify(found)}\n`);
          print(
            `${each.name}, ${precision}, seed ${seed}: ${found.value.toFixed(2)}, ${found.cpu.toFixed(0)} s of CPU`,
          );
        }
      }
    }
    for (const line of precisionLines(await resultsIn<PrecisionResult>(file), precisions)) print(line);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function resultOf(
  { model: source, families, task: taskOf, options, metric, points }: PrecisionCase,
  precision: PrecisionName,
  seed: number,
): Promise<Pick<PrecisionResult, 'value' | 'cpu'>> {
  // Products of small models are rounded, too, though that gains nothing: the question is the cost of rounding.
  const isWhole = precision === 'float32' || precision === 'bfloat16';
  const chosen = isWhole ? precision : { name: precision, smallest: 4096 };
  const model = await openModel(source, { families, plugins: [openvinoPlugin], precision: chosen });
  const provider = providerOf(precision);
  const task = await taskOf(seed);
  const before = process.cpuUsage();
  const run = await train(model, { ...options, task, seed, threads: 1, provider });
  const { adapter } = await run.done;
  const { user, system } = process.cpuUsage(before);
  const { metrics } = await evaluate(model, { task, adapter, threads: 1, provider });
  return { value: points * (metrics as Readonly<Record<string, number>>)[metric]!, cpu: (user + system) / 1e6 };
}

/** The 97.5th percentile of Student's t by degrees of freedom, from 1. */
const T = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];

/** The table: each case and precision with its seeds, and the mean difference to the first one with its 95% interval over seeds. */
function precisionLines(results: readonly PrecisionResult[], precisions: readonly PrecisionName[]): string[] {
  const names = [...new Set(results.map(({ name }) => name))];
  const rows = names.flatMap((name) =>
    precisions.map((precision) => {
      const own = results.filter((each) => each.name === name && each.precision === precision);
      const differences = own.flatMap(({ seed, value }) => {
        const first = results.find(
          (each) => each.name === name && each.seed === seed && each.precision === precisions[0],
        );
        return first && precision !== precisions[0] ? [value - first.value] : [];
      });
      const values = own.map(({ value }) => value.toFixed(1)).join(', ');
      const cpu = own.reduce((sum, each) => sum + each.cpu, 0) / own.length;
      return `| ${[name, precision, values, intervalOf(differences), cpu.toFixed(0)].join(' | ')} |`;
    }),
  );
  return ['| task | precision | by seed | difference | CPU s |', '| --- | --- | --- | --- | --- |', ...rows];
}

function intervalOf(differences: readonly number[]): string {
  if (differences.length === 0) return '';
  const mean = differences.reduce((sum, each) => sum + each, 0) / differences.length;
  const t = T[differences.length - 2];
  if (t === undefined) return mean.toFixed(2);
  const variance = differences.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (differences.length - 1);
  const half = t * Math.sqrt(variance / differences.length);
  return `${mean.toFixed(2)} (${(mean - half).toFixed(2)} to ${(mean + half).toFixed(2)})`;
}
