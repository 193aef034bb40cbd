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
 * Loads a model that answers `{ id, label, score }` about each sequence of a file, where `score` is the probability. Where several
 * adapters answer together, it is the mean, and `deviation` says how far they differ. An adapter with a head of its own goes into
 * the model first: `modelFor(model, adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that is no classifier; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its tokenizer
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

/**
 * The same for models with any number of labels: `{ id, labels }`, and the probability of each label under its name.
 * @throws OnnxLoraError as {@link openClassifier}
 */
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
 * Loads a model that answers `{ id, value }` about each sequence of a file, or `{ id, … }` with several numbers by their names.
 * Where several adapters answer together, it is the mean, and `deviation` says how far they differ. An adapter with a head of its
 * own goes into the model first: `modelFor(model, adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model that gives no numbers; `CONFIG_INVALID`, `FILE_NOT_FOUND` of its tokenizer
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
