/** @file Binds what this package brings into an inversify container. */

import {
  MODEL_FAMILY,
  PREPROCESSOR_FACTORY,
  type PreprocessorFactory,
  TASK_FACTORY,
  type TaskFactory,
} from '@onnx-lora/sdk';
import { ContainerModule } from 'inversify';
import { visionFamilies } from './families/index.ts';
import type { ImageDecoder } from './image/image.ts';
import { ImagePreprocessorFactory } from './preprocess/preprocessorFactory.ts';
import { SharpDecoder } from './image/sharpDecoder.ts';
import { ImageClassificationFactory } from './tasks/classification/imageClassificationFactory.ts';
import { ImageRegressionFactory } from './tasks/classification/imageRegressionFactory.ts';
import { MultiLabelFactory } from './tasks/classification/multiLabelFactory.ts';
import { ImageEmbeddingFactory } from './tasks/embedding/imageEmbeddingFactory.ts';
import { ImageRetrievalFactory } from './tasks/embedding/retrieval/imageRetrievalFactory.ts';
import { ImageTextFactory } from './tasks/embedding/text/imageTextFactory.ts';
import { PromptableSegmentationFactory } from './tasks/promptable/promptableSegmentationFactory.ts';
import { SemanticSegmentationFactory } from './tasks/segmentation/semanticSegmentationFactory.ts';
import { IMAGE_DECODER } from './tokens.ts';

/** Image families, preprocessors and tasks. Load it once: what is loaded twice is bound twice. */
export const visionModule: ContainerModule = new ContainerModule(({ bind }) => {
  bind(IMAGE_DECODER)
    .toResolvedValue(() => new SharpDecoder(), [])
    .inSingletonScope();
  for (const family of visionFamilies) bind(MODEL_FAMILY).toConstantValue(family);
  bind(PREPROCESSOR_FACTORY)
    .toResolvedValue((decoder: ImageDecoder) => new ImagePreprocessorFactory(decoder), [IMAGE_DECODER])
    .inSingletonScope();
  for (const Factory of [
    ImageClassificationFactory,
    MultiLabelFactory,
    ImageRegressionFactory,
    ImageEmbeddingFactory,
    ImageRetrievalFactory,
    ImageTextFactory,
    SemanticSegmentationFactory,
    PromptableSegmentationFactory,
  ]) {
    bind<TaskFactory>(TASK_FACTORY)
      .toResolvedValue(
        // A mutable array, since inversify's types do not match a readonly one.
        (decoder: ImageDecoder, preprocessors: PreprocessorFactory[]) => new Factory(decoder, preprocessors),
        [IMAGE_DECODER, { isMultiple: true, serviceIdentifier: PREPROCESSOR_FACTORY }],
      )
      .inSingletonScope();
  }
});
