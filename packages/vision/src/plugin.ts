/** @file What this package brings, as any plugin would. */

import { token, type Token, definePlugin, type Plugin, binding } from '@onnx-lora/sdk/plugin';
import { visionFamilies } from './families/index.ts';
import type { ImageDecoder } from './image/image.ts';
import { SharpDecoder } from './image/sharpDecoder.ts';
import { ImagePreprocessorFactory } from './preprocess/config/preprocessorFile.ts';
import { ImageClassificationFactory } from './tasks/classification/imageClassificationFactory.ts';
import { ImageRegressionFactory } from './tasks/classification/imageRegressionFactory.ts';
import { MultiLabelFactory } from './tasks/classification/multiLabelFactory.ts';
import { ImageEmbeddingFactory } from './tasks/embedding/imageEmbeddingFactory.ts';
import { ImageRetrievalFactory } from './tasks/embedding/imageRetrievalFactory.ts';
import { ImageTextFactory } from './tasks/embedding/text/imageTextFactory.ts';
import { PromptableSegmentationFactory } from './tasks/promptable/promptableSegmentationFactory.ts';
import { SemanticSegmentationFactory } from './tasks/segmentation/semanticSegmentationFactory.ts';

/** The decoder of image files; provide another to replace sharp. */
export const IMAGE_DECODER: Token<ImageDecoder> = token('image-decoder', {
  usuallyFrom: '@onnx-lora/vision',
});

/** Image families, preprocessors and tasks. */
export const visionPlugin: Plugin = definePlugin({
  name: '@onnx-lora/vision',
  description: 'Images: classification, regression, embeddings, retrieval, segmentation, prompted masks.',
  bindings: [binding(IMAGE_DECODER, () => new SharpDecoder(), { isDefault: true })],
  needs: { decoder: IMAGE_DECODER },
  families: visionFamilies,
  preprocessors: ({ decoder }) => [new ImagePreprocessorFactory(decoder)],
  tasks: ({ decoder, preprocessors }) =>
    [
      ImageClassificationFactory,
      MultiLabelFactory,
      ImageRegressionFactory,
      ImageEmbeddingFactory,
      ImageRetrievalFactory,
      ImageTextFactory,
      SemanticSegmentationFactory,
      PromptableSegmentationFactory,
    ].map((Factory) => new Factory(decoder, preprocessors)),
});
