/** @file Scores variants by what a trained model predicts of them. */

import {
  type Adapter,
  type AdapterSession,
  lengthBuckets,
  OnnxLoraError,
  type RunnableModel,
  type RunnableOptions,
} from '@onnx-lora/sdk';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import { openSequenceInput, type SequenceInput } from '../tasks/sequenceInput.ts';
import type { TokenRow } from '../tasks/sequenceTask.ts';
import { type EffectScorer, nameOfVariant, type ScoreOptions, sequenceOf, type Variant } from './effectScorer.ts';
import { notNumbers } from './tokenScores.ts';

/** How the predictions of a trained model are asked for. */
export interface PredictedScorerOptions extends Omit<RunnableOptions, 'adapters'> {
  /** The adapter that predicts; the model's own head without one. */
  readonly adapter?: Adapter | undefined;
  /** Which of several numbers, or the score of which class. */
  readonly value?: string | undefined;
  /** The model's tokenizer; read from its folder by default. */
  readonly tokenizer?: SequenceTokenizer | undefined;
  /** Most tokens of a row, special ones included; what the model takes by default. */
  readonly maxLength?: number | undefined;
  /** Rows per run; 32 by default. */
  readonly batchSize?: number | undefined;
}

const PREDICTED = 'logits';
const ADAPTER = 'adapter';
const BATCH_SIZE = 32;
const BATCH_TOKENS = 8192;
/** Batches that are made ahead. */
const LOOK_AHEAD = 4;

/**
 * Loads a model that predicts numbers of sequences, such as a base with an adapter of the task sequence-regression: a variant's
 * score is what is predicted of it, less what is predicted of the wild type.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a value that the model does not predict, or several of which none is chosen;
 *   `MODEL_UNSUPPORTED`; others as `model.session`
 */
export async function openPredictedScorer(
  model: RunnableModel,
  { adapter, value, tokenizer, maxLength, batchSize = BATCH_SIZE, ...load }: PredictedScorerOptions = {},
): Promise<EffectScorer> {
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong: 'error' });
  const session = await model.session({ ...load, adapters: adapter ? { [ADAPTER]: adapter } : {} });
  return new PredictedScorer({ name: model.name, input, session, batchSize, value, labels: labelsOf(model, adapter) });
}

interface Parts {
  readonly name: string;
  readonly input: SequenceInput;
  readonly session: AdapterSession;
  readonly batchSize: number;
  readonly value: string | undefined;
  /** Names of the predicted numbers, where they are known. */
  readonly labels: readonly string[];
}

class PredictedScorer implements EffectScorer {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get tokenizer(): SequenceTokenizer {
    return this.#parts.input.tokenizer;
  }

  async score(wildType: string, variants: readonly Variant[], { onProgress }: ScoreOptions = {}): Promise<number[]> {
    const ahead = LOOK_AHEAD * this.#parts.batchSize;
    const [wild] = await this.#predict([{ id: 'the wild type', sequence: wildType }]);
    const scores: number[] = [];
    for (let from = 0; from < variants.length; from += ahead) {
      const some = variants.slice(from, from + ahead);
      const named = some.map((each) => ({ id: nameOfVariant(each), sequence: sequenceOf(each, wildType) }));
      for (const each of await this.#predict(named)) scores.push(each - wild!);
      onProgress?.(scores.length, variants.length);
    }
    return scores;
  }

  async release(): Promise<void> {
    await this.#parts.session.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  /** Rows of like length are computed together. */
  async #predict(sequences: readonly { readonly id: string; readonly sequence: string }[]): Promise<number[]> {
    const { input, batchSize } = this.#parts;
    const rows = sequences.map((each) => input.rows({ ...each, where: 'The variants' })[0]!);
    const { mask, length } = input.ports;
    const limits = { rows: batchSize, tokens: BATCH_TOKENS, isPadded: mask !== undefined || length !== undefined };
    const lengths = rows.map(({ ids }) => ids.length);
    const predicted = new Array<number>(rows.length);
    for (const batch of lengthBuckets(lengths, limits)) {
      const values = await this.#run(batch.map((i) => rows[i]!));
      for (const [at, i] of batch.entries()) predicted[i] = values[at]!;
    }
    return predicted;
  }

  async #run(rows: readonly TokenRow[]): Promise<number[]> {
    const { input, session } = this.#parts;
    const adapter = session.adapterNames.includes(ADAPTER) ? ADAPTER : null;
    const outputs = await session.run(input.feeds(rows), { adapter, fetches: [PREDICTED] });
    const { dims, data } = outputs[PREDICTED]!;
    const at = this.#columnOf(dims);
    return rows.map((_, row) => {
      const value = Number(data[row * dims[1]! + at]);
      if (Number.isFinite(value)) return value;
      throw notNumbers(this.#parts.name, adapter !== null);
    });
  }

  #columnOf(dims: readonly number[]): number {
    const { name, value, labels } = this.#parts;
    const [, width] = dims;
    if (dims.length !== 2) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${name}" predicts no number per sequence: "${PREDICTED}" is [${dims.join(', ')}], and it would have to be [batch, numbers]. Scan with an adapter of the task sequence-regression, or by likelihood.`,
      );
    }
    if (value === undefined && width === 1) return 0;
    const at = value === undefined ? -1 : labels.indexOf(value);
    if (at >= 0 && at < width!) return at;
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      value === undefined
        ? `"${name}" predicts ${width} numbers. Choose one by "value": ${labels.join(', ')}.`
        : `"${name}" predicts no "${value}". It predicts ${labels.join(', ') || `${width} numbers without names`}.`,
    );
  }
}

function labelsOf({ config }: RunnableModel, adapter: Adapter | undefined): readonly string[] {
  const named = config?.['id2label'];
  if (adapter?.notes.labels) return adapter.notes.labels;
  return typeof named === 'object' && named !== null ? Object.values(named).map(String) : [];
}
