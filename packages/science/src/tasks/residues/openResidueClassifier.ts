/** @file Predictors of residue classes and numbers. */

import {
  labelsOrNumbers,
  type Prediction,
  type Predictor,
  type RunnableModel,
  softmaxRows,
} from '@onnx-lora/sdk/tasks';
import { answersByToken, bestOf, openHead } from '@onnx-lora/sequences';
import { sequenceDomain, type SequencePredictorOptions } from '../../domain.ts';
import { perLetter, requireLetters } from './residueTargets.ts';

export interface ResidueAnswers {
  /** Maps a residue's scores to probabilities or numbers; averaged over windows and adapters. */
  readonly valuesOf: (scores: Float32Array) => Float64Array;
  /** Builds the prediction, without the id; undefined for letters without an answer. */
  readonly shown: (letters: readonly (Float64Array | undefined)[]) => Prediction;
}

/** Like `openHead` for each residue; reads long sequences in windows unless `tooLong` says otherwise. */
function residuePredictor(
  model: RunnableModel,
  options: SequencePredictorOptions,
  noun: string,
  made: (outputs: number) => ResidueAnswers,
): Promise<Predictor> {
  return openHead(
    sequenceDomain,
    model,
    options,
    { noun, each: (tokenizer) => requireLetters(model.name, tokenizer) },
    ({ input, output, outputs }) => {
      const { valuesOf, shown } = made(outputs);
      return ({ sequence }, rows) => {
        const byToken = answersByToken(rows, { output, outputs, valuesOf });
        return shown(perLetter(sequence, input.tokenizer, (token) => byToken.get(token)));
      };
    },
  );
}

/**
 * Loads a model that answers `{ id, residues, confidence, score }` for each sequence of a file: a class per residue, in
 * one string if they are single letters; its probability as a digit, 9 from 0.9 on; and the mean probability. `-` marks
 * residues without an answer. Long sequences are read in windows unless `tooLong` says otherwise. Probabilities of
 * several adapters are averaged. Load an adapter with a head of its own into the model first: `modelForAdapter(model,
 * adapter)`.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a model without a residue head, or with tokens of several letters;
 * `CONFIG_INVALID`, `FILE_NOT_FOUND` of the tokenizer
 */
export function openResidueClassifier(
  model: RunnableModel,
  options: SequencePredictorOptions = {},
): Promise<Predictor> {
  return residuePredictor(model, options, 'classes', (outputs) => {
    const labels = labelsOrNumbers(model, outputs);
    return {
      valuesOf: (scores) => softmaxRows(scores, outputs),
      shown: (letters): ResidueClasses => {
        const best = letters.map((probabilities) => probabilities && bestOf(probabilities));
        const sure = letters.map((probabilities, i) => probabilities?.[best[i]!]);
        const answered = sure.filter((probability) => probability !== undefined);
        return {
          residues: classesText(best.map((c) => (c === undefined ? undefined : labels[c]))),
          confidence: classesText(sure.map((each) => (each === undefined ? undefined : tenths(each)))),
          score: answered.reduce((sum, probability) => sum + probability, 0) / answered.length,
        };
      },
    };
  });
}

/**
 * The same for numbers: `{ id, values }`, null for residues without an answer.
 * @throws OnnxLoraError as {@link openResidueClassifier}
 */
export function openResidueRegressor(model: RunnableModel, options: SequencePredictorOptions = {}): Promise<Predictor> {
  return residuePredictor(model, options, 'numbers', () => ({
    valuesOf: (scores) => Float64Array.from(scores),
    // The digits of float32.
    shown: (letters): Prediction => ({
      values: letters.map((value) => (value ? Number(value[0]!.toPrecision(7)) : null)),
    }),
  }));
}

/** A class and a confidence for each residue. */
export type ResidueClasses = Readonly<{
  /** Classes of one letter in one string, else a list; `-` for residues without an answer. */
  residues: string | readonly string[];
  /** Each class's probability in tenths, as digits. */
  confidence: string | readonly string[];
  /** Mean probability, 0 to 1. */
  score: number;
}>;

function tenths(probability: number): string {
  return String(Math.min(9, Math.floor(10 * probability)));
}

const NONE = '-';

/** One string if all classes are single letters, as in `HHHEEC`, else a list. `-` marks residues without an answer. */
function classesText(classes: readonly (string | undefined)[]): string | readonly string[] {
  const given = classes.map((name) => name ?? NONE);
  return given.every((name) => name.length === 1) ? given.join('') : given;
}

const SYMBOLS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A display letter per class: the class itself if all are single letters; undefined for too many classes. */
export function classLetters(labels: readonly string[]): readonly string[] | undefined {
  if (labels.every((label) => label.length === 1)) return labels;
  return labels.length <= SYMBOLS.length ? labels.map((_, i) => SYMBOLS[i]!) : undefined;
}
