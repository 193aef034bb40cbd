/** @file How well several adapters answer together, and how sure they are. */

import { type Adapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  AnswerMetrics,
  batchesOf,
  type BatchSource,
  intervalsOf,
  type Metrics,
  NumberTally,
  type PreparedTask,
  type RunnableModel,
  type RunnableOptions,
  evenlySpaced,
  rowsPerRun,
  spearman,
} from '@onnx-lora/sdk/tasks';

/** Answers of an ensemble, and what was measured. */
export interface UncertainAnswers {
  /** The true number of each record, in the order of `mean`. */
  readonly measured: readonly number[];
  /** The mean over the adapters. */
  readonly mean: readonly number[];
  /** How far the adapters differ, as a standard deviation. */
  readonly deviation: readonly number[];
}

/** How far deviations can be trusted. */
export interface EnsembleCalibration {
  /** The share of measured numbers inside mean ± z · deviation, where a normal distribution would have `level` of them. */
  readonly coverage: readonly { readonly level: number; readonly found: number }[];
  /**
   * What deviations must be multiplied by so that errors are as large as they say: above 1 where the ensemble is too sure of
   * itself, as ensembles of adapters on one base mostly are. NaN where all deviations are 0.
   */
  readonly factor: number;
  /** Spearman's correlation of deviations and errors: above 0 where uncertain answers are wrong more often. */
  readonly ranking: number;
}

/** Levels, and the z of a normal distribution inside which they lie. */
const levels = [
  [0.5, 0.6744897501960817],
  [0.8, 1.2815515655446004],
  [0.9, 1.6448536269514722],
  [0.95, 1.959963984540054],
] as const;

/** Checks deviations against measured numbers that no adapter of the ensemble was trained on. */
export function ensembleCalibration({ measured, mean, deviation }: UncertainAnswers): EnsembleCalibration {
  const errors = measured.map((value, i) => Math.abs(value - mean[i]!));
  const inside = (z: number): number => errors.filter((error, i) => error <= z * deviation[i]!).length / errors.length;
  const squares = errors.flatMap((error, i) => (deviation[i]! > 0 ? [(error / deviation[i]!) ** 2] : []));
  return {
    coverage: levels.map(([level, z]) => ({ level, found: inside(z) })),
    factor: Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length),
    ranking: spearman(deviation, errors),
  };
}

/** What {@link measureEnsemble} is asked. */
interface EnsembleRequest {
  /** The model as its adapters answer with it. */
  readonly model: RunnableModel;
  readonly data: PreparedTask;
  readonly task: string;
  readonly adapters: Readonly<Record<string, Adapter>>;
  readonly load: Omit<RunnableOptions, 'adapters'>;
  readonly batchSize: number;
  readonly limit?: number | undefined;
  readonly onBatch?: ((done: number, total: number) => void) | undefined;
}

/** What an ensemble's measurement found. */
export interface EnsembleEvaluation {
  /** Metrics of the answers' mean over the adapters. */
  readonly metrics: Metrics;
  /** 95% intervals of these. */
  readonly intervals: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** Metrics of each adapter alone. */
  readonly members: Readonly<Record<string, Metrics>>;
  /** Of regression, for each number: whether deviations can be trusted. */
  readonly calibration?: readonly EnsembleCalibration[];
}

/**
 * Measures the mean of the answers of all adapters, and each alone, on held-out data, or on all where none are held out.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a task of another kind; `DATA_INVALID` for data with other labels; as
 *   `model.session`
 */
export async function measureEnsemble(request: EnsembleRequest): Promise<EnsembleEvaluation> {
  const { model, data, task, adapters, load, batchSize, limit, onBatch } = request;
  const names = Object.keys(adapters);
  const labels = data.head?.labels;
  if (labels && labels.join('\n') !== adapters[names[0]!]!.notes.labels?.join('\n')) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The data have other labels than the adapters: ${labels.slice(0, 10).join(', ')}. Measure them on data with the labels that they were trained on.`,
    );
  }
  const collectors = names.map(() => data.metrics());
  const together = data.metrics();
  if (!(together instanceof AnswerMetrics)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The answers of the task "${task}" have no mean over adapters. Use one that answers with classes, labels or numbers about sequences or residues: sequence-regression, sequence-classification, sequence-labelling, residue-classification or residue-regression.`,
    );
  }
  const session = await model.session({ ...load, adapters });
  try {
    const dataset = data.validation ?? data.train;
    const total = Math.min(dataset.length, limit ?? Infinity);
    const source: BatchSource<unknown> = { dataset, collate: (examples) => data.collate(examples) };
    let done = 0;
    for await (const { batch, examples } of batchesOf(source, rowsPerRun(session, batchSize), evenlySpaced(total))) {
      const outputs: Readonly<Record<string, Tensor>>[] = [];
      for (const adapter of names) outputs.push(await session.run(batch.inputs, { adapter }));
      outputs.forEach((own, i) => collectors[i]!.update(own, batch.targets));
      together.updateTogether(outputs, batch.targets);
      done += examples.length;
      onBatch?.(done, total);
    }
  } finally {
    await session.release();
  }
  const tallies = collectors.map((each) => (each instanceof AnswerMetrics ? (each.tally as unknown) : undefined));
  const members = tallies.filter((each) => each instanceof NumberTally);
  const mean: unknown = together.tally;
  return {
    metrics: together.result(),
    intervals: intervalsOf(together.draws()),
    members: Object.fromEntries(names.map((name, i) => [name, collectors[i]!.result()])),
    ...(mean instanceof NumberTally && task === 'sequence-regression' && { calibration: calibrationOf(members, mean) }),
  };
}

/** For each number: its means, deviations and measured values, without those that were not measured. */
function calibrationOf(
  members: readonly NumberTally<Metrics>[],
  { columns }: NumberTally<Metrics>,
): EnsembleCalibration[] {
  return columns.map(({ predicted: mean, truths: measured }, number) =>
    ensembleCalibration({
      measured,
      mean,
      deviation: mean.map((value, record) => {
        const squares = members.reduce((sum, own) => sum + (own.columns[number]!.predicted[record]! - value) ** 2, 0);
        return Math.sqrt(squares / (members.length - 1));
      }),
    }),
  );
}
