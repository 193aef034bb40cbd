/** @file The plugin of this package. */

import type { ClassPrediction, EmbeddingPrediction, LabelsPrediction, NumberPrediction } from '@onnx-lora/sdk';
import { token, type Token, definePlugin, type Plugin, binding } from '@onnx-lora/sdk/plugin';
import { visionFamilies } from './families/index.ts';
import type { ImageDecoder } from './image/image.ts';
import { ImageFileDecoder } from './image/imageFileDecoder.ts';
import { ImagePreprocessorFactory } from './preprocess/config/preprocessorFile.ts';
import { imageClassificationTask, imageRegressionTask, multiLabelTask } from './tasks/classification/imageTasks.ts';
import { imageEmbeddingTask } from './tasks/embedding/imageEmbedder.ts';
import { imageRetrievalTask } from './tasks/embedding/imageRetrieval.ts';
import { imageTextTask } from './tasks/embedding/text/imageText.ts';
import type { DetectionPrediction, InstancePrediction } from './tasks/detection/answers.ts';
import { instanceSegmentationTask, objectDetectionTask } from './tasks/detection/objectDetection.ts';
import { promptableSegmentationTask } from './tasks/promptable/promptableSegmentation.ts';
import type { MaskPrediction } from './tasks/promptable/promptableSegmenter.ts';
import type { SegmentationPrediction } from './tasks/segmentation/classMap.ts';
import { semanticSegmentationTask } from './tasks/segmentation/semanticSegmentation.ts';

declare module '@onnx-lora/sdk' {
  interface TaskPredictions {
    'image-classification': ClassPrediction;
    'multi-label-classification': LabelsPrediction;
    'image-regression': NumberPrediction;
    'image-embedding': EmbeddingPrediction;
    'object-detection': DetectionPrediction;
    'instance-segmentation': InstancePrediction;
    'semantic-segmentation': SegmentationPrediction;
    'promptable-segmentation': MaskPrediction;
  }
}

/** The decoder of image files; sharp's by default. */
export const IMAGE_DECODER: Token<ImageDecoder> = token('image-decoder', {
  usuallyFrom: '@onnx-lora/vision',
});

/** The vision plugin: families, preprocessors and tasks. */
export const visionPlugin: Plugin = definePlugin({
  name: '@onnx-lora/vision',
  description: 'Images: classification, regression, embeddings, retrieval, detection, segmentation, prompted masks.',
  bindings: [binding(IMAGE_DECODER, () => new ImageFileDecoder(), { isDefault: true })],
  needs: { decoder: IMAGE_DECODER },
  families: visionFamilies,
  preprocessors: ({ decoder }) => [new ImagePreprocessorFactory(decoder)],
  tasks: ({ decoder, preprocessors }) =>
    [
      imageClassificationTask,
      multiLabelTask,
      imageRegressionTask,
      imageEmbeddingTask,
      imageRetrievalTask,
      imageTextTask,
      objectDetectionTask,
      instanceSegmentationTask,
      semanticSegmentationTask,
      promptableSegmentationTask,
    ].map((task) => task(decoder, preprocessors)),
});
