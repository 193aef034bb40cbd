/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { scienceFamilies } from './families/index.ts';
import {
  sequenceClassificationTask,
  sequenceLabellingTask,
  sequenceRegressionTask,
} from './tasks/classification/sequenceFactories.ts';
import { sequenceEmbeddingTask, sequenceRetrievalTask } from './tasks/embedding/sequenceEmbeddingTask.ts';
import { maskedLanguageModellingTask } from './tasks/masked/maskedLanguageModellingTask.ts';
import { residueClassificationTask, residueRegressionTask } from './tasks/residues/residueFactories.ts';
import { mutationScanTask, variantEffectTask } from './tasks/variants/variantFactories.ts';

/** Science: the families, and the tasks on sequences. */
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
