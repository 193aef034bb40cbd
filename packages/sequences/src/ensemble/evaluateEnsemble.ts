/** @file Evaluates several adapters of one model as an ensemble, and calibrates their deviations. */

import { type Adapter, type Model, modelFor, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
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
   * The factor that calibrates deviations to errors: above 1 for an overconfident ensemble, as ensembles of adapters on
   * one base mostly are. NaN where all deviations are 0.
   */
  readonly factor: number;
  /** Spearman's correlation of deviations and errors: above 0 where uncertain answers are wrong more often. */
  readonly ranking: number;
}

/** Levels with the z of a normal distribution. */
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

interface EnsembleRequest {
  /** The model with the adapters' head. */
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
 * @throws OnnxLoraError `CONFIG_INVALID` for a task of another kind; `DATA_INVALID` for data with other labels; as
 *   `model.session`
 */
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

/** Calibration per number, without unmeasured records. */
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
 * The task as it is, unless there is an ensemble, folders of other adapters: then `evaluate` measures the mean of the answers of all its adapters.
 * Of one predicted number it tells too how many measured ones lie within 1.96 deviations (`inside95`, which is 0.95 where
 * deviations can be trusted), and what deviations must be multiplied by (`deviationFactor`). It is not to be trained.
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
  /** A task on sequences or residues with classes, labels or numbers, such as a regression, on labelled data. */
  readonly task: Task;
  /** Two or more adapters that were trained for this task, such as with several seeds, by any name. */
  readonly adapters: Readonly<Record<string, Adapter>>;
  /** Examples per run; 32 by default. */
  readonly batchSize?: number;
}

/**
 * Measures an ensemble on the task's held-out data, or on all of its data where none are held out. The base is loaded once for
 * all adapters; each batch runs once with each of them.
 * @example
 * ```ts
 * const adapters = { a: await loadAdapter('runs/a/adapter'), b: await loadAdapter('runs/b/adapter') };
 * const { metrics, calibration } = await evaluateEnsemble(model, { task: sequenceRegression('gb1.csv'), adapters });
 * ```
 * @throws OnnxLoraError `CONFIG_INVALID` for fewer than two adapters or a task of another kind; `DATA_INVALID` for data with
 *   other labels; `ADAPTER_MISMATCH`; as `task.prepare` and `model.session` do
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
  const own = modelFor<Model>(model, first);
  return measureEnsemble({
    model: own,
    data: await task.prepare(own),
    task: task.name,
    adapters,
    load,
    batchSize,
  });
}
