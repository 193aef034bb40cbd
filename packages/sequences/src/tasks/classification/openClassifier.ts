/** @file Predictors of classes, labels and numbers of sequences. */

import {
  labelsOrNumbers,
  type Prediction,
  type Predictor,
  probability,
  type RunnableModel,
  softmaxRows,
  temperatureOf,
  thresholdsOf,
} from '@onnx-lora/sdk/tasks';
import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceDomain } from '../../domain.ts';
import type { SequenceRecord } from '../../record.ts';
import { headPredictor, type SequencePredictorOptions } from '../records/headPredictor.ts';

/**
 * Loads a classifier of sequence files: `{ id, label, score }`, where `score` is the probability. With several adapters
 * it is their mean, and `deviation` their standard deviation. Apply an adapter's head first: `modelForAdapter(model,
 * adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` without a classification head; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the
 * tokenizer
 */
export function openClassifier<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options> = {},
): Promise<Predictor> {
  const temperature = temperatureOf(model);
  return headPredictor(domain, model, options, 'classes', (outputs) => {
    const labels = labelsOrNumbers(model, outputs);
    return {
      answerOf: (scores) => softmaxRows(scores.map((score) => score / temperature), outputs), // prettier-ignore
      shown: ({ mean, deviation }): Prediction => {
        const best = mean.reduce((most, value, i) => (value > mean[most]! ? i : most), 0);
        return { label: labels[best]!, score: mean[best]!, ...(deviation && { deviation: deviation[best]! }) };
      },
    };
  });
}

/** Like {@link openClassifier} with any number of labels: `{ id, labels }` and each label's probability by name. */
export function openLabeller<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options> = {},
): Promise<Predictor> {
  return headPredictor(domain, model, options, 'labels', (outputs) => {
    const labels = labelsOrNumbers(model, outputs);
    const thresholds = thresholdsOf(model, labels, 0.5);
    return {
      answerOf: (scores) => Float64Array.from(scores, probability),
      shown: ({ mean }): Prediction => ({
        labels: labels.filter((_, i) => mean[i]! >= thresholds[i]!).join(', '),
        ...Object.fromEntries(labels.map((label, i) => [label, mean[i]!])),
      }),
    };
  });
}

/**
 * Loads a regressor of sequence files: `{ id, value }`, or several numbers by name. With several adapters they are
 * means, and `deviation` is the standard deviation. Apply an adapter's head first: `modelForAdapter(model, adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` without a regression head; `CONFIG_INVALID`, `FILE_NOT_FOUND` of the
 * tokenizer
 */
export function openRegressor<R extends SequenceRecord, Source, Options extends DivideOptions<R>>(
  domain: SequenceDomain<R, Source, Options>,
  model: RunnableModel,
  options: SequencePredictorOptions<Options> = {},
): Promise<Predictor> {
  return headPredictor(domain, model, options, 'numbers', (outputs) => {
    const names = outputs === 1 ? ['value'] : labelsOrNumbers(model, outputs);
    return {
      answerOf: (scores) => scores,
      shown: ({ mean, deviation }): Prediction => ({
        ...Object.fromEntries(names.map((name, i) => [name, mean[i]!])),
        ...(deviation && Object.fromEntries(names.map((name, i) => [deviationOf(name), deviation[i]!]))),
      }),
    };
  });
}

function deviationOf(name: string): string {
  return name === 'value' ? 'deviation' : `${name} deviation`;
}
