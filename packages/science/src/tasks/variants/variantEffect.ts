/** @file The task `variant-effect`: zero-shot ranking of measured variants. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Dataset,
  type Measurement,
  type MeasureRequest,
  numberMeasure,
  type PreparedTask,
  type Task,
} from '@onnx-lora/sdk/tasks';
import { readSequenceData } from '../../data/readSequenceData.ts';
import type { SequenceData, SequenceDataOptions, SequenceRecord, SequenceSource } from '../../data/sequenceRecord.ts';
import type { VariantScorer, Variant } from '../../variants/effectScorer.ts';
import { noWildType } from '../../variants/marginalScorer.ts';
import { isPseudo, openVariantScorer, type VariantScorerOptions } from '../../variants/variantScorer.ts';

/** A record as a variant; messages name its place in the data. */
export function variantOf({ where, sequence, substitutions }: SequenceRecord): Variant {
  return { id: where, sequence, ...(substitutions ? { substitutions } : {}) };
}

/** Options of {@link variantEffect}. */
export interface VariantEffectOptions
  extends SequenceDataOptions, Pick<VariantScorerOptions, 'method' | 'multiple' | 'tokenizer' | 'maxLength'> {
  /** Name of the measurement, if there are several; the first by default. */
  readonly value?: string | undefined;
}

/** A variant and its measurement. */
export interface MeasuredVariant {
  /** The variant. */
  readonly record: SequenceRecord;
  /** The measured number, such as a fitness. */
  readonly value: number;
}

type EffectScores = Readonly<Record<'spearman' | 'pearson', number>>;

/**
 * Zero-shot variant effects: `evaluate` scores variants by a masked language model and correlates the scores with
 * measurements: Spearman, with an interval, and Pearson. Nothing is trained, so all data are evaluated, or the part
 * that `validation` or `evalSplit` names. With an adapter of the task masked-language-modelling, it shows the effect of
 * domain adaptation.
 * @example
 * ```ts
 * const { metrics } = await evaluate(model, { task: variantEffect('gb1.csv'), adapter });
 * ```
 */
export function variantEffect(
  source: SequenceSource,
  options: VariantEffectOptions = {},
): Task<MeasuredVariant, EffectScores> {
  return {
    name: 'variant-effect',
    prepare: async () =>
      preparedTask(await readSequenceData(source, { needs: ['values'], validation: 0, ...options }), options),
  };
}

function preparedTask(data: SequenceData, options: VariantEffectOptions): PreparedTask<MeasuredVariant, EffectScores> {
  const measured = measuredOf(data, options);
  if (data.wildType === undefined && !isPseudo(options.method)) throw noWildType();
  return {
    train: datasetOf(measured),
    warnings: data.warnings,
    collate: () => Promise.reject(notTrained()),
    loss: () => {
      throw notTrained();
    },
    metrics: () => {
      throw notTrained();
    },
    measure: (request) => measure(request, measured, data.wildType, options),
  };
}

/** The measured variants: all data, or the user's held-out part. */
function measuredOf(data: SequenceData, { validation, evalSplit, value }: VariantEffectOptions): MeasuredVariant[] {
  const { train, validation: held = [], test = [], valueNames = [] } = data;
  const isPart = (validation !== undefined && validation !== 0) || evalSplit !== undefined;
  const records = isPart ? held : [...train, ...held, ...test];
  const at = value === undefined ? 0 : valueNames.indexOf(value);
  if (at < 0) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The data have no measurement "${value}". They have ${valueNames.join(', ')}.`,
    );
  }
  const measured = records.flatMap((record) => {
    const own = record.values?.[at] ?? Number.NaN;
    return Number.isNaN(own) ? [] : [{ record, value: own }];
  });
  if (measured.length > 1) return measured;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${measured.length} of ${records.length} variants ${measured.length === 1 ? 'has' : 'have'} a measurement, and a ranking needs two or more. Name the column with the measurements (columns.values, on the command line --set columns.values=…).`,
  );
}

function datasetOf(measured: readonly MeasuredVariant[]): Dataset<MeasuredVariant> {
  return {
    length: measured.length,
    get: (index) => Promise.resolve(measured[index]!),
    nameOf: (index) => measured[index]?.record.where ?? String(index),
  };
}

async function measure(
  request: MeasureRequest,
  measured: readonly MeasuredVariant[],
  wildType: string | undefined,
  { method, multiple, tokenizer, maxLength }: VariantEffectOptions,
): Promise<Measurement<EffectScores>> {
  const { model, adapter, batchSize, limit, onBatch } = request;
  const own = measured.slice(0, limit);
  const scoring = { adapter, batchSize, method, multiple, tokenizer, maxLength };
  const scorer = await openVariantScorer(model, { ...request.options, ...scoring });
  try {
    const records = own.map(({ record }) => record);
    const scores = await scoresOf({ scorer, wildType, records, request });
    onBatch?.(own.length, own.length);
    const known = [...own.keys()].filter((i) => !Number.isNaN(scores[i]));
    const ranking = numberMeasure(
      known.map((i) => scores[i]!),
      known.map((i) => own[i]!.value),
    );
    const metrics = (times?: Uint32Array): EffectScores => {
      const { spearman, pearson } = ranking(times);
      return { spearman, pearson };
    };
    return { metrics: metrics(), draws: bootstrapDraws(metrics, known.length) };
  } finally {
    await scorer.release();
  }
}

interface Scoring {
  readonly scorer: VariantScorer;
  readonly wildType: string | undefined;
  readonly records: readonly SequenceRecord[];
  readonly request: Pick<MeasureRequest, 'onBatch' | 'onBadSample'>;
}

/** A score per record; NaN for records that cannot be scored and are skipped. */
async function scoresOf({ scorer, wildType, records, request }: Scoring): Promise<number[]> {
  const { onBatch, onBadSample } = request;
  // Progress is per record, not per row.
  const onProgress = (done: number, total: number): void =>
    onBatch?.(Math.floor((done / total) * records.length), records.length);
  const score = (some: readonly SequenceRecord[], options = {}): Promise<number[]> =>
    wildType === undefined
      ? scorer.likelihoods(
          some.map(({ sequence }) => sequence),
          options,
        )
      : scorer.score(wildType, some.map(variantOf), options);
  try {
    return await score(records, { onProgress });
  } catch (error) {
    if (!onBadSample || !(error instanceof OnnxLoraError)) throw error;
  }
  // One by one, to find the records that fail.
  const scores: number[] = [];
  for (const [i, record] of records.entries()) {
    try {
      scores.push(...(await score([record])));
    } catch (error) {
      onBadSample(i, error);
      scores.push(Number.NaN);
    }
    onBatch?.(i + 1, records.length);
  }
  return scores;
}

function notTrained(): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    'The task variant-effect measures (evaluate) and answers (predict); nothing is trained by it. To learn from measurements, train the task sequence-regression; to adapt the model to a family of proteins without measurements, train the task masked-language-modelling, and measure the adapter by this one.',
  );
}
