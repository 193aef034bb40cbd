/** @file Runs each batch of held-out sequences once with each of several adapters, and measures the mean of their answers. */

import { type Adapter, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import {
  batchesOf,
  type BatchSource,
  type MetricCollector,
  type Metrics,
  type PreparedTask,
  type RunnableModel,
  type RunnableOptions,
  evenlySpaced,
} from '@onnx-lora/sdk/tasks';
import { RecordMetrics } from '../tasks/recordMetrics.ts';
import { type EnsembleCalibration, ensembleCalibration } from './calibration.ts';
import { isEnsembleCollector } from './ensembleCollector.ts';

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
  const ofRecords = collectors.filter((each) => each instanceof RecordMetrics);
  const first = data.metrics();
  const ofResidues = isEnsembleCollector(first) ? first : undefined;
  if (ofRecords.length < names.length && !ofResidues) {
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
    for await (const { batch, examples } of batchesOf(source, batchSize, evenlySpaced(total))) {
      const outputs: Readonly<Record<string, Tensor>>[] = [];
      for (const adapter of names) outputs.push(await session.run(batch.inputs, { adapter }));
      outputs.forEach((own, i) => collectors[i]!.update(own, batch.targets));
      ofResidues?.updateTogether(outputs, batch.targets);
      done += examples.length;
      onBatch?.(done, total);
    }
  } finally {
    await session.release();
  }
  const mean = ofResidues ? undefined : RecordMetrics.mean(ofRecords);
  const together: MetricCollector = mean ?? ofResidues!;
  return {
    metrics: together.result(),
    intervals: together.intervals?.() ?? {},
    members: Object.fromEntries(names.map((name, i) => [name, collectors[i]!.result()])),
    ...(mean && task === 'sequence-regression' && { calibration: calibrationOf(ofRecords, mean) }),
  };
}

/** For each number: its means, deviations and measured values, without those that were not measured. */
function calibrationOf(members: readonly RecordMetrics[], together: RecordMetrics): EnsembleCalibration[] {
  const { answers, truths } = together.collected();
  const each = members.map((member) => member.collected().answers);
  const numbers = truths[0]?.length ?? 0;
  return Array.from({ length: numbers }, (_, number) => {
    const known = [...truths.keys()].filter((record) => !Number.isNaN(truths[record]![number]!));
    const at = (record: number): number => record * numbers + number;
    const mean = known.map((record) => answers[at(record)]!);
    return ensembleCalibration({
      measured: known.map((record) => truths[record]![number]!),
      mean,
      deviation: known.map((record, i) => {
        const squares = each.reduce((sum, own) => sum + (own[at(record)]! - mean[i]!) ** 2, 0);
        return Math.sqrt(squares / (members.length - 1));
      }),
    });
  });
}
