/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { scienceFamilies } from './families/index.ts';
import {
  sequenceClassificationFactory,
  sequenceLabellingFactory,
  sequenceRegressionFactory,
} from './tasks/classification/sequenceFactories.ts';
import { sequenceEmbeddingFactory, sequenceRetrievalFactory } from './tasks/embedding/sequenceEmbeddingFactory.ts';
import { maskedLanguageModellingFactory } from './tasks/masked/maskedLanguageModellingFactory.ts';
import { residueClassificationFactory, residueRegressionFactory } from './tasks/residues/residueFactories.ts';
import { mutationScanFactory, variantEffectFactory } from './tasks/variants/variantFactories.ts';

/** Science: the families, and the tasks on sequences. */
export const sciencePlugin: Plugin = definePlugin({
  name: '@onnx-lora/science',
  description: 'Sequences of proteins, molecules and DNA: classes, numbers, residues, variants, embeddings.',
  families: scienceFamilies,
  tasks: [
    sequenceClassificationFactory,
    sequenceLabellingFactory,
    sequenceRegressionFactory,
    maskedLanguageModellingFactory,
    residueClassificationFactory,
    residueRegressionFactory,
    sequenceEmbeddingFactory,
    sequenceRetrievalFactory,
    variantEffectFactory,
    mutationScanFactory,
  ],
});
