/** @file Zero-shot variant effects, and scans of all single substitutions, for the command line. */

import { type AnsweringFactory, predictOnlyTask, requireNamedAdapters } from '@onnx-lora/sdk/tasks';
import type { SettingRows } from '@onnx-lora/sdk/plugin';
import { sequenceFactory } from '@onnx-lora/sequences';
import { dataSettings } from '../../data/table/columnRoles.ts';
import type { SequenceDataOptions } from '../../data/sequenceRecord.ts';
import type { MutationScannerOptions, ScanOptions } from '../../variants/mutationScan.ts';
import { variantMethods, type VariantScorerOptions } from '../../variants/variantScorer.ts';
import { scanPredictor } from './scanPredictor.ts';
import { variantEffect, type VariantEffectOptions } from './variantEffect.ts';
import { variantPredictor } from './variantPredictor.ts';
import { sequenceDomain } from '../../domain.ts';

const scoringSettings: SettingRows<Pick<VariantScorerOptions, 'method' | 'maxLength'>> = {
  method: {
    kind: 'choice',
    of: variantMethods,
    description: `How variants are scored: ${variantMethods.join(', ')}; the first by default.`,
  },
  maxLength: {
    kind: 'number',
    whole: true,
    min: 1,
    description: 'Most tokens that the model is shown at once, special ones included.',
  },
};

/** The task `variant-effect` and its predictor of `{ id, score }` per variant; nothing is trained. */
export const variantEffectTask: AnsweringFactory = sequenceFactory<VariantEffectOptions>(sequenceDomain, {
  name: 'variant-effect',
  description:
    'Scores of variants by a protein language model that has seen no measurement; to measure and predict with, not to train.',
  settings: {
    ...scoringSettings,
    multiple: {
      kind: 'choice',
      of: ['additive', 'together'],
      description:
        'Positions that masked-marginals masks for several substitutions: additive (default) each alone, together all at once.',
    },
    value: {
      kind: 'text',
      description: 'Which measurement scores are compared with, where there are several.',
    },
    ...dataSettings,
  },
  // No held-out part: nothing is trained.
  task: (data, options) => variantEffect(data, { ...options, holdOut: undefined }),
  predictor: (model, { adapter, adapters, load }, { method, multiple, maxLength, ...data }) => {
    requireNamedAdapters(adapters);
    return variantPredictor(model, { ...load, method, multiple, maxLength, adapter }, data);
  },
});

type MutationScanOptions = Pick<MutationScannerOptions, 'by' | 'value' | 'method' | 'maxLength'> &
  Pick<ScanOptions, 'residues'> &
  SequenceDataOptions;

/** The task `mutation-scan`, which predicts every single substitution of a sequence; nothing is trained. */
export const mutationScanTask: AnsweringFactory = sequenceFactory<MutationScanOptions>(sequenceDomain, {
  name: 'mutation-scan',
  description: 'The effect of every single substitution of each sequence; to predict with, not to train.',
  settings: {
    by: {
      kind: 'choice',
      of: ['likelihood', 'model'],
      description:
        'likelihood (default), by a masked language model; model, what an adapter of sequence-regression predicts.',
    },
    value: { kind: 'text', description: 'With by=model, which of several predicted numbers.' },
    residues: {
      kind: 'text',
      to: lettersOf,
      must: 'the letters to put in, such as ACDEFGHIKLMNPQRSTVWY',
      description: 'The letters to put in; by default the 20 amino acids, or the 4 bases.',
    },
    ...scoringSettings,
    ...dataSettings,
  },
  task: () =>
    predictOnlyTask(
      'mutation-scan',
      'To measure scores of variants take the task variant-effect; to learn from measurements, sequence-regression',
    ),
  predictor: (model, { adapter, adapters, load }, { by, value, residues, method, maxLength, ...data }) => {
    requireNamedAdapters(adapters);
    return scanPredictor(model, { ...load, by, value, residues, method, maxLength, adapter }, data);
  },
});

/** Distinct letters of a word; undefined where it has other characters. */
function lettersOf(text: string): readonly string[] | undefined {
  const letters = [...new Set(text.toUpperCase().replaceAll(/[\s,]/g, ''))];
  return letters.length > 0 && letters.every((letter) => /[A-Z]/.test(letter)) ? letters : undefined;
}
