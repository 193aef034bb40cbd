/** @file What this package brings, as any plugin would. */

import { definePlugin, type Plugin } from '@onnx-lora/sdk/plugin';
import { scienceFamilies } from './families/index.ts';
import {
  SequenceClassificationFactory,
  SequenceLabellingFactory,
} from './tasks/classification/sequenceClassificationFactory.ts';
import { SequenceEmbeddingFactory, SequenceRetrievalFactory } from './tasks/embedding/sequenceEmbeddingFactory.ts';
import { MaskedLanguageModellingFactory } from './tasks/masked/maskedLanguageModellingFactory.ts';
import { SequenceRegressionFactory } from './tasks/classification/sequenceRegressionFactory.ts';
import { ResidueClassificationFactory, ResidueRegressionFactory } from './tasks/residues/residueFactories.ts';
import { MutationScanFactory } from './tasks/variants/mutationScanFactory.ts';
import { VariantEffectFactory } from './tasks/variants/variantEffectFactory.ts';

/** Science: the families, and the tasks on sequences. */
export const sciencePlugin: Plugin = definePlugin({
  name: '@onnx-lora/science',
  description: 'Sequences of proteins, molecules and DNA: classes, numbers, residues, variants, embeddings.',
  families: scienceFamilies,
  tasks: () =>
    [
      SequenceClassificationFactory,
      SequenceLabellingFactory,
      SequenceRegressionFactory,
      MaskedLanguageModellingFactory,
      ResidueClassificationFactory,
      ResidueRegressionFactory,
      SequenceEmbeddingFactory,
      SequenceRetrievalFactory,
      VariantEffectFactory,
      MutationScanFactory,
    ].map((Factory) => new Factory()),
});
