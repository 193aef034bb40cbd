/** @file Runs each batch of held-out sequences once with each of several adapters, and measures the mean of their answers. */

import { type Adapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  AnswerMetrics,
  batchesOf,
  type BatchSource,
  type Metrics,
  NumberTally,
  type PreparedTask,
  type RunnableModel,
  type RunnableOptions,
  spread,
} from '@onnx-lora/sdk/tasks';
import { type EnsembleCalibration, ensembleCalibration } from './calibration.ts';

/** What {@link measureEnsemble} is asked. */
export interface EnsembleRequest {
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
    for await (const { batch, examples } of batchesOf(source, batchSize, spread(total))) {
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
    intervals: together.intervals(),
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
