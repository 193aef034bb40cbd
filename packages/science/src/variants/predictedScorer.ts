/** @file Scores variants by a trained model's predictions. */

import { type Adapter, OnnxLoraError } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { notNumbers, openItemModel, openSequenceInput } from '@onnx-lora/sequences';
import { type EffectScorer, nameOfVariant, sequenceOf } from './effectScorer.ts';
import { SCORES, type TokenScoresOptions } from './tokenScores.ts';
import { sequenceDomain } from '../domain.ts';

/** Options of scoring by predictions, by the adapter's head or else the model's own. */
export interface PredictedScorerOptions extends TokenScoresOptions {
  /** Name of the predicted number, or of the class that is scored. */
  readonly value?: string | undefined;
}

/**
 * Loads a model that predicts numbers of sequences, such as a base with an adapter of the task sequence-regression. A
 * variant's score is its prediction minus the wild type's.
 * @throws OnnxLoraError `CONFIG_INVALID` for an unknown value, or a missing choice of several; `MODEL_UNSUPPORTED`;
 * others as `model.session`
 */
export async function openPredictedScorer(
  model: RunnableModel,
  options: PredictedScorerOptions = {},
): Promise<EffectScorer> {
  const { value, tokenizer, maxLength, ...load } = options;
  const input = await openSequenceInput(model, { tokenizer, maxLength, tooLong: 'error' }, sequenceDomain);
  const labels = labelsOf(model, load.adapter);
  const asker = await openItemModel<{ readonly id: string; readonly sequence: string }, number>(
    model,
    {
      input,
      outputs: [SCORES],
      row: (named) => input.rows({ ...named, where: 'The variants' })[0]!,
      found: ({ [SCORES]: scores }) => {
        const predicted = Number(scores!.data[columnOf(scores!.dims, model.name, value, labels)]);
        if (Number.isFinite(predicted)) return predicted;
        throw notNumbers(model.name, load.adapter !== undefined);
      },
    },
    load,
  );
  return {
    tokenizer: input.tokenizer,
    score: async (wildType, variants, { onProgress } = {}) => {
      function* asked(): Generator<{ readonly id: string; readonly sequence: string }> {
        yield { id: 'the wild type', sequence: wildType };
        for (const each of variants) yield { id: nameOfVariant(each), sequence: sequenceOf(each, wildType) };
      }
      const predicted: number[] = [];
      for await (const each of asker.ask(asked()))
        if (predicted.push(each) > 1) onProgress?.(predicted.length - 1, variants.length);
      const [wild, ...others] = predicted;
      return others.map((each) => each - wild!);
    },
    release: () => asker.release(),
    [Symbol.asyncDispose]: () => asker.release(),
  };
}

function columnOf(dims: readonly number[], name: string, value: string | undefined, labels: readonly string[]): number {
  const [, width] = dims;
  if (dims.length !== 2) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${name}" predicts no number per sequence: "${SCORES}" is [${['batch', ...dims.slice(1)].join(', ')}], and it would have to be [batch, numbers]. Scan with an adapter of the task sequence-regression, or by likelihood.`,
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

function labelsOf({ config }: RunnableModel, adapter: Adapter | undefined): readonly string[] {
  const named = config?.['id2label'];
  if (adapter?.notes.labels) return adapter.notes.labels;
  return typeof named === 'object' && named !== null ? Object.values(named).map(String) : [];
}
