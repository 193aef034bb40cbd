/** @file The science package as a plugin. */

import type {
  RecordClassPrediction,
  RecordLabelsPrediction,
  RecordNumberPrediction,
  RecordPrediction,
} from '@onnx-lora/sdk';
import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { scienceFamilies } from './families/index.ts';
import {
  sequenceClassificationTask,
  sequenceLabellingTask,
  sequenceRegressionTask,
} from './tasks/classification/sequenceTasks.ts';
import { sequenceEmbeddingTask, sequenceRetrievalTask } from './tasks/embedding/sequenceEmbedding.ts';
import { maskedLanguageModellingTask } from './tasks/masked/maskedLanguageModelling.ts';
import type { ResidueClasses } from './tasks/residues/openResidueClassifier.ts';
import { residueClassificationTask, residueRegressionTask } from './tasks/residues/residueTasks.ts';
import { mutationScanTask, variantEffectTask } from './tasks/variants/variantFactories.ts';

declare module '@onnx-lora/sdk' {
  interface TaskPredictions {
    'sequence-classification': RecordClassPrediction;
    'sequence-labelling': RecordLabelsPrediction;
    'sequence-regression': RecordNumberPrediction;
    'residue-classification': RecordPrediction<ResidueClasses>;
    'residue-regression': RecordPrediction<Readonly<{ values: readonly (number | null)[] }>>;
  }
}

/** The plugin: science families and tasks on sequences. */
export const sciencePlugin: Plugin = definePlugin({
  name: '@onnx-lora/science',
  description: 'Sequences of proteins, molecules and DNA: classes, numbers, residues, variants, embeddings.',
  families: scienceFamilies,
  tasks: [
    sequenceClassificationTask,
    sequenceLabellingTask,
    sequenceRegressionTask,
    maskedLanguageModellingTask,
    residueClassificationTask,
    residueRegressionTask,
    sequenceEmbeddingTask,
    sequenceRetrievalTask,
    variantEffectTask,
    mutationScanTask,
  ],
});
