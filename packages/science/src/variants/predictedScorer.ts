/** @file Scores variants by what a trained model predicts of them. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import type { SequenceTokenizer } from '../tokenizers/sequenceTokenizer.ts';
import { openSequenceInput } from '../tasks/sequenceInput.ts';
import { type EffectScorer, nameOfVariant, type ScoreOptions, sequenceOf, type Variant } from './effectScorer.ts';
import { LOOK_AHEAD, RowRunner, SCORES, type TokenScoresOptions } from './tokenScores.ts';

/** How the predictions of a trained model are asked for; without an adapter the model's own head predicts. */
export interface PredictedScorerOptions extends TokenScoresOptions {
  /** Which of several numbers, or the score of which class. */
  readonly value?: string | undefined;
}

/**
 * Loads a model that predicts numbers of sequences, such as a base with an adapter of the task sequence-regression: a variant's
 * score is what is predicted of it, less what is predicted of the wild type.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for a value that the model does not predict, or several of which none is chosen;
 *   `MODEL_UNSUPPORTED`; others as `model.session`
 */
export async function openPredictedScorer(
  model: RunnableModel,
  options: PredictedScorerOptions = {},
): Promise<EffectScorer> {
  const { adapter, value, tokenizer, maxLength, ...load } = options;
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong: 'error' });
  return new PredictedScorer(await RowRunner.open(model, input, { adapter, ...load }), value, labelsOf(model, adapter));
}

class PredictedScorer implements EffectScorer {
  readonly #runner: RowRunner;
  readonly #value: string | undefined;
  /** Names of the predicted numbers, where they are known. */
  readonly #labels: readonly string[];

  constructor(runner: RowRunner, value: string | undefined, labels: readonly string[]) {
    this.#runner = runner;
    this.#value = value;
    this.#labels = labels;
  }

  get tokenizer(): SequenceTokenizer {
    return this.#runner.input.tokenizer;
  }

  async score(wildType: string, variants: readonly Variant[], { onProgress }: ScoreOptions = {}): Promise<number[]> {
    const ahead = LOOK_AHEAD * this.#runner.batchSize;
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
    await this.#runner.release();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }

  #predict(sequences: readonly { readonly id: string; readonly sequence: string }[]): Promise<number[]> {
    const rows = sequences.map((each) => this.#runner.input.rows({ ...each, where: 'The variants' })[0]!);
    return this.#runner.run(rows, ({ dims, data }, row) => {
      const value = Number(data[row * dims[1]! + this.#columnOf(dims)]);
      if (Number.isFinite(value)) return value;
      throw this.#runner.notNumbers();
    });
  }

  #columnOf(dims: readonly number[]): number {
    const { name } = this.#runner;
    const [value, labels] = [this.#value, this.#labels];
    const [, width] = dims;
    if (dims.length !== 2) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `"${name}" predicts no number per sequence: "${SCORES}" is [${dims.join(', ')}], and it would have to be [batch, numbers]. Scan with an adapter of the task sequence-regression, or by likelihood.`,
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
