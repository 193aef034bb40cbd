/** @file Public API of the vision package. */

export { beit } from './families/beit.ts';
export { clip } from './families/clip.ts';
export { convnext } from './families/convnext.ts';
export { deit } from './families/deit.ts';
export { detr } from './families/detr.ts';
export { dinov2 } from './families/dinov2.ts';
export { dinov3Convnext } from './families/dinov3Convnext.ts';
export { dinov3Vit } from './families/dinov3Vit.ts';
export { efficientSam } from './families/efficientSam.ts';
export { mobileSam } from './families/mobileSam.ts';
export { visionFamilies } from './families/index.ts';
export { mobilevit } from './families/mobilevit.ts';
export { mobilevitv2 } from './families/mobilevitv2.ts';
export { resnet } from './families/resnet.ts';
export { sam } from './families/sam.ts';
export { sam2 } from './families/sam2.ts';
export { segformer } from './families/segformer.ts';
export { siglip } from './families/siglip.ts';
export { swin } from './families/swin.ts';
export { swinv2 } from './families/swinv2.ts';
export { timmBeit } from './families/timmBeit.ts';
export { timmVit } from './families/timmVit.ts';
export { torchvisionVit } from './families/torchvisionVit.ts';
export { vit } from './families/vit.ts';
export { vitMae } from './families/vitMae.ts';
export type { Color, Interpolation } from './augment/affine.ts';
export { augment, type Augmentation } from './augment/augment.ts';
export type { Range } from './augment/check.ts';
export {
  type ColorJitter,
  colorJitter,
  type ColorJitterOptions,
  type RandomGrayscale,
  randomGrayscale,
} from './augment/colorJitter.ts';
export { type Flip, horizontalFlip, type ProbabilityOptions, verticalFlip } from './augment/flip.ts';
export { type GaussianBlur, gaussianBlur, type GaussianBlurOptions } from './augment/gaussianBlur.ts';
export { mixBatch, type MixOptions, oneHot, type SoftBatch } from './augment/mixBatch.ts';
export { standardAugmentations, strongAugmentations } from './augment/augmentSetting.ts';
export { type RandAugment, randAugment, type RandAugmentOptions } from './augment/randAugment.ts';
export { type RandomErasing, randomErasing, type RandomErasingOptions } from './augment/randomErasing.ts';
export {
  type RandomResizedCrop,
  randomResizedCrop,
  type RandomResizedCropOptions,
} from './augment/randomResizedCrop.ts';
export { type QuarterTurns, quarterTurns, type Rotation, rotation, type RotationOptions } from './augment/rotation.ts';
export type { Mask, Sample } from './augment/sample.ts';
export type { Image, ImageDecoder, ImageLike } from './image/image.ts';
export type { ImageData, ImageDataOptions, ImageSource } from './data/imageData.ts';
export type { Box, ImageObject, ImageRecord, Point, Shape } from './data/imageRecord.ts';
export type { ColumnNames } from './data/manifest/columns.ts';
export { readImageData } from './data/readImageData.ts';
export type { TaskDataOptions } from './data/readTaskData.ts';
export { splitImages } from './data/splitImages.ts';
export { formatCocoCounts, parseCocoCounts } from './data/shapes/cocoCounts.ts';
export { readClassMask, readObjectMask } from './data/shapes/maskFile.ts';
export { boxOfMask, classMaskOf, type ClassNumbers, maskOf, maskOfObject } from './data/shapes/masks.ts';
export { maskOfRuns, type RunLengths, runsOfMask } from './data/shapes/runLengths.ts';
export {
  boxToImage,
  boxToInput,
  type Geometry,
  geometryOf,
  maskToInput,
  pointToImage,
  pointToInput,
} from './preprocess/geometry.ts';
export { imageLoader, type ImageLoaderOptions } from './preprocess/imageLoader.ts';
export type { CropStep, ImagePlan, Normalization, ResizeStep, Size, SizeRule } from './preprocess/imagePlan.ts';
export type {
  ImageAnnotations,
  ImageLoader,
  ImageRequest,
  LoadedImage,
  MaskSource,
} from './preprocess/imageRequest.ts';
export { padBatch, type PaddedBatch } from './preprocess/padBatch.ts';
export { visionPlugin } from './plugin.ts';
export type { Pixels } from './preprocess/normalize.ts';
export { ImagePreprocessor } from './preprocess/preprocessor.ts';
export { readImagePlan } from './preprocess/preprocessorConfig.ts';
export { ImagePreprocessorFactory } from './preprocess/preprocessorFactory.ts';
export { type ModelPreprocessor, preprocessorOf } from './preprocess/preprocessorFile.ts';
export type { Resample } from './preprocess/resampleFilters.ts';
export type { Offset } from './preprocess/centerCrop.ts';
export { resize } from './preprocess/resize.ts';
export { SharpDecoder, type SharpDecoderOptions } from './image/sharpDecoder.ts';
export { imageClassification, type ImageClassificationOptions } from './tasks/classification/imageClassification.ts';
export { ImageClassificationFactory } from './tasks/classification/imageClassificationFactory.ts';
export { imageClassifier } from './tasks/classification/imageClassificationFactory.ts';
export { ImageDataset, type ImageExample, type ImageLoading } from './tasks/classification/imageDataset.ts';
export type { ImageProcessorOptions } from './tasks/classification/imageProcessor.ts';
export { imageRegression, type ImageRegressionOptions } from './tasks/classification/imageRegression.ts';
export { ImageRegressionFactory } from './tasks/classification/imageRegressionFactory.ts';
export type { ImageTaskOptions } from './tasks/classification/imageTask.ts';
export { multiLabelClassification, type MultiLabelOptions } from './tasks/classification/multiLabelClassification.ts';
export { MultiLabelFactory } from './tasks/classification/multiLabelFactory.ts';
export {
  type FrozenBaselines,
  frozenBaselines,
  type FrozenBaselinesRequest,
  type LabelledEmbeddings,
} from './tasks/embedding/baselines/frozenBaselines.ts';
export type { FeatureOptions, Pooling } from './tasks/embedding/features.ts';
export {
  imageEmbedder,
  type ImageEmbedderOptions,
  imageEmbeddings,
  type ImageEmbeddingsOptions,
} from './tasks/embedding/imageEmbedder.ts';
export { ImageEmbeddingFactory } from './tasks/embedding/imageEmbeddingFactory.ts';
export type { ImageReading } from './tasks/imageReading.ts';
export { type ImageGroup, imageRetrieval, type ImageRetrievalOptions } from './tasks/embedding/imageRetrieval.ts';
export { ImageRetrievalFactory } from './tasks/embedding/imageRetrievalFactory.ts';
export {
  type Caption,
  type CaptionedImage,
  imageText,
  type ImageTextOptions,
} from './tasks/embedding/text/imageText.ts';
export type { ImageTextScores } from './tasks/embedding/text/imageTextMetrics.ts';
export { ImageTextFactory } from './tasks/embedding/text/imageTextFactory.ts';
export { zeroShotClassifier, type ZeroShotOptions } from './tasks/embedding/text/zeroShot.ts';
export type { FoundMask, GenerateMasksOptions } from './tasks/promptable/generateMasks.ts';
export type { MaskLogits } from './tasks/promptable/imageMask.ts';
export type { InputPrompt, Prompt } from './tasks/promptable/prompt.ts';
export { PromptableImage, type PromptAnswer } from './tasks/promptable/promptableImage.ts';
export type { PromptableExample } from './tasks/promptable/promptableDataset.ts';
export type { PromptableLoss } from './tasks/promptable/promptableLoss.ts';
export {
  promptableSegmentation,
  type PromptableSegmentationOptions,
} from './tasks/promptable/promptableSegmentation.ts';
export type { PromptableScores } from './tasks/promptable/promptableMetrics.ts';
export { PromptableSegmentationFactory } from './tasks/promptable/promptableSegmentationFactory.ts';
export type { PromptOptions } from './tasks/promptable/promptSampling.ts';
export type { MaskChoice } from './tasks/promptable/samPorts.ts';
export { SamPredictor, type SamPredictorOptions } from './tasks/promptable/samPredictor.ts';
export { semanticSegmentation, type SemanticSegmentationOptions } from './tasks/segmentation/semanticSegmentation.ts';
export type { SegmentationScores } from './tasks/segmentation/segmentationMetrics.ts';
export { SemanticSegmentationFactory } from './tasks/segmentation/semanticSegmentationFactory.ts';
export { semanticSegmenter, type SemanticSegmenterOptions } from './tasks/segmentation/semanticSegmenter.ts';
export type { SegmentationExample } from './tasks/segmentation/segmentationDataset.ts';
export type { SegmentationLossOptions } from './tasks/segmentation/segmentationLoss.ts';
export { IMAGE_DECODER } from './plugin.ts';
