/** @file Binds what this package brings. */

import { MODEL_FAMILY, TASK_FACTORY, type TaskFactory } from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import { scienceFamilies } from './families/index.ts';
import {
  SequenceClassificationFactory,
  SequenceLabellingFactory,
} from './tasks/classification/sequenceClassificationFactory.ts';
import { SequenceEmbeddingFactory, SequenceRetrievalFactory } from './tasks/embedding/sequenceEmbeddingFactory.ts';
import { MaskedLanguageModellingFactory } from './tasks/masked/maskedLanguageModellingFactory.ts';
import { SequenceRegressionFactory } from './tasks/regression/sequenceRegressionFactory.ts';
import { ResidueClassificationFactory, ResidueRegressionFactory } from './tasks/residues/residueFactories.ts';
import { MutationScanFactory } from './tasks/variants/mutationScanFactory.ts';
import { VariantEffectFactory } from './tasks/variants/variantEffectFactory.ts';

/** Science: the families, and the tasks on sequences. */
export const scienceModule: ContainerModule = new ContainerModule(({ bind }) => {
  for (const family of scienceFamilies) bind(MODEL_FAMILY).toConstantValue(family);
  for (const Factory of [
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
  ])
    bind<TaskFactory>(TASK_FACTORY).toConstantValue(new Factory());
});
