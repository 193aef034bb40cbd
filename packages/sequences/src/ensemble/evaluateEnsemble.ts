/** @file Evaluates several adapters of one model as an ensemble, and calibrates their deviations. */

import { type Adapter, type Model, modelForAdapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  AnswerMetrics,
  batchesOf,
  type BatchSource,
  evenlySpaced,
  intervalsOf,
  type Metrics,
  NumberTally,
  type PreparedTask,
  rowsPerRun,
  type RunnableModel,
  type RunnableOptions,
  spearman,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { answeringAdapters } from '../tasks/records/answeringAdapters.ts';

/** Predictions of an ensemble and the true values. */
export interface UncertainAnswers {
  /** The true value of each record, in the order of `mean`. */
  readonly measured: readonly number[];
  /** The mean prediction over the adapters. */
  readonly mean: readonly number[];
  /** Standard deviation over the adapters. */
  readonly deviation: readonly number[];
}

/** Calibration of an ensemble's deviations. */
export interface EnsembleCalibration {
  /** Share of true values inside mean ± z · deviation, next to the nominal `level` of a normal distribution. */
  readonly coverage: readonly { readonly level: number; readonly found: number }[];
  /** Factor from deviations to errors: above 1 if overconfident, as is usual on one base; NaN if all are 0. */
  readonly factor: number;
  /** Spearman's correlation of deviations and errors: above 0 if uncertain predictions err more. */
  readonly ranking: number;
}

/** Nominal levels with their z of a normal distribution. */
const levels = [
  [0.5, 0.6744897501960817],
  [0.8, 1.2815515655446004],
  [0.9, 1.6448536269514722],
  [0.95, 1.959963984540054],
] as const;

/** Measures calibration on true values that no adapter of the ensemble was trained on. */
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

interface EnsembleRequest {
  readonly model: RunnableModel;
  readonly data: PreparedTask;
  readonly task: string;
  readonly adapters: Readonly<Record<string, Adapter>>;
  readonly load: Omit<RunnableOptions, 'adapters'>;
  readonly batchSize: number;
  readonly limit?: number | undefined;
  readonly onBatch?: ((done: number, total: number) => void) | undefined;
}

/** Result of measuring an ensemble. */
export interface EnsembleEvaluation {
  /** Metrics of the mean prediction. */
  readonly metrics: Metrics;
  /** 95% intervals of the metrics. */
  readonly intervals: Readonly<Record<string, readonly [low: number, high: number]>>;
  /** Metrics of each adapter alone. */
  readonly members: Readonly<Record<string, Metrics>>;
  /** Calibration per predicted number; regression only. */
  readonly calibration?: readonly EnsembleCalibration[];
}

/** Measures the mean prediction and each adapter alone, on held-out data or otherwise on all. */
async function measureEnsemble(request: EnsembleRequest): Promise<EnsembleEvaluation> {
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

/** Calibration per predicted number, without records that lack a true value. */
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

/**
 * Makes `evaluate` measure the mean of the adapter and the `ensemble`, folders of other adapters, if given. Regression
 * of one number adds the metrics `inside95`, the share of true values within 1.96 deviations (0.95 if calibrated), and
 * `deviationFactor`, which calibrates deviations. The task cannot be trained.
 */
export function withEnsemble(task: Task, ensemble: readonly string[] | undefined): Task {
  if (ensemble === undefined) return task;
  return {
    name: task.name,
    prepare: async (model) => {
      const data = await task.prepare(model);
      const measure: PreparedTask['measure'] = async ({ adapter, options: load, ...request }) => {
        const all = await answeringAdapters(adapter, ensemble);
        const adapters = Object.fromEntries(all.map((each, i) => [String(i), each]));
        const { metrics, intervals, calibration = [] } = await measureEnsemble({ ...request, data, task: task.name, adapters, load }); // prettier-ignore
        const [only, ...others] = calibration;
        if (!only || others.length > 0) return { metrics, intervals };
        const inside95 = only.coverage.find(({ level }) => level === 0.95)!.found;
        return { metrics: { ...metrics, inside95, deviationFactor: only.factor }, intervals };
      };
      const loss: PreparedTask['loss'] = () => {
        throw new OnnxLoraError(
          'CONFIG_INVALID',
          'Adapters of an ensemble are trained one by one, each with another --seed. Leave the setting ensemble out here, and give it to eval and predict.',
        );
      };
      return { ...data, loss, measure };
    },
  };
}

/** Options of {@link evaluateEnsemble}. */
export interface EnsembleOptions extends Omit<RunnableOptions, 'adapters'> {
  /** A task with classes, labels or numbers per sequence or residue, such as regression, on labelled data. */
  readonly task: Task;
  /** Two or more adapters of this task, such as with several seeds, by any name. */
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
}

/**
 * Measures an ensemble on the task's held-out data, or otherwise on all. Each batch runs once per adapter on one base.
 * @example
 * ```ts
 * const adapters = { a: await loadAdapter('runs/a/adapter'), b: await loadAdapter('runs/b/adapter') };
 * const { metrics, calibration } = await evaluateEnsemble(model, { task: sequenceRegression('gb1.csv'), adapters });
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID` for fewer than two adapters or an unsupported task; `DATA_INVALID` for data
 * with other labels; `ADAPTER_MISMATCH`; like `task.prepare` and `model.session`
 */
export async function evaluateEnsemble(
  model: Model,
  { task, adapters, batchSize = 32, ...load }: EnsembleOptions,
): Promise<EnsembleEvaluation> {
  const [first, ...others] = Object.values(adapters);
  if (!first || others.length === 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `An ensemble has two adapters or more, but ${first ? 'one' : 'none'} was given. Give adapters that were trained with different seeds.`,
    );
  }
  const own = modelForAdapter<Model>(model, first);
  return measureEnsemble({
    model: own,
    data: await task.prepare(own),
    task: task.name,
    adapters,
    load,
    batchSize,
  });
}
