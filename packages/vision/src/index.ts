/** @file Public API of the vision package. */

export { beit, deit, vit, vitMae, dinov2, dinov3Vit } from './families/vit.ts';
export { clip, siglip } from './families/clip.ts';
export { convnext, dinov3Convnext, resnet } from './families/convnets.ts';
export { conditionalDetr, deformableDetr, dFine, owlvit, rfDetr, rtDetr, yolos } from './families/detectors.ts';
export { detr } from './families/detr.ts';
export { efficientSam, mobileSam, sam, sam2 } from './families/sam.ts';
export { visionFamilies } from './families/index.ts';
export { mobilevit, mobilevitv2, segformer, swin, swinv2 } from './families/stagedVits.ts';
export { timmBeit, timmVit, torchvisionVit } from './families/timm.ts';
export type { Color, Interpolation, Mask, Sample } from './augment/sample.ts';
export { augment, type Augmentation, standardAugmentations, strongAugmentations } from './augment/augment.ts';
export type { Range } from '@onnx-lora/sdk/data';
export {
  type ColorJitter,
  colorJitter,
  type ColorJitterOptions,
  type RandomGrayscale,
  randomGrayscale,
} from './augment/color.ts';
export {
  type Flip,
  horizontalFlip,
  type ProbabilityOptions,
  verticalFlip,
  type Rotate90,
  rotate90,
  type Rotation,
  rotation,
  type RotationOptions,
} from './augment/orientation.ts';
export { type GaussianBlur, gaussianBlur, type GaussianBlurOptions } from './augment/gaussianBlur.ts';
export { mixBatch, type MixOptions, oneHot, type SoftBatch } from './augment/mixBatch.ts';
export { type RandAugment, randAugment, type RandAugmentOptions } from './augment/randAugment.ts';
export {
  type RandomErasing,
  randomErasing,
  type RandomErasingOptions,
  type RandomResizedCrop,
  randomResizedCrop,
  type RandomResizedCropOptions,
} from './augment/randomWindows.ts';
export type { Image, ImageDecoder, ImageLike } from './image/image.ts';
export type {
  Box,
  ColumnNames,
  ImageData,
  ImageDataOptions,
  ImageObject,
  ImageRecord,
  ImageSource,
  Point,
  Shape,
} from './data/imageRecord.ts';
export { dataSettings } from './data/manifest.ts';
export { readImageData, splitImages } from './data/readImageData.ts';
export { decodeRle, encodeRle, type Rle, formatCocoCounts, parseCocoCounts } from './data/shapes/outlines.ts';
export {
  boxOfMask,
  classMaskOf,
  type ClassNumbers,
  maskOf,
  maskOfObject,
  readClassMask,
  readObjectMask,
} from './data/shapes/masks.ts';
export {
  boxToImage,
  boxToInput,
  type Geometry,
  geometryOf,
  maskToInput,
  pointToImage,
  pointToInput,
} from './preprocess/geometry.ts';
export type { Offset } from './preprocess/crop.ts';
export type { ImageAnnotations, ImageRequest, MaskSource } from './preprocess/imageThread.ts';
export { type ImageLoader, type LoadedImage, imageLoader, type ImageLoaderOptions } from './preprocess/imageLoader.ts';
export type { CropStep, ImagePlan, Normalization, ResizeStep, Size, SizeRule } from './preprocess/imagePlan.ts';
export { padBatch, type PaddedBatch, type Pixels } from './preprocess/normalize.ts';
export { visionPlugin, IMAGE_DECODER } from './plugin.ts';
export { ImagePreprocessor } from './preprocess/preprocessor.ts';
export { readImagePlan } from './preprocess/config/preprocessorConfig.ts';
export {
  ImagePreprocessorFactory,
  type ModelPreprocessor,
  preprocessorOf,
} from './preprocess/config/preprocessorFile.ts';
export type { Resample } from './preprocess/resize/resampleFilters.ts';
export { resize } from './preprocess/resize/resize.ts';
export { png as encodePng } from './image/codec.ts';
export { ImageFileDecoder, type ImageFileDecoderOptions } from './image/imageFileDecoder.ts';
export { imageExamples, type ImageMixOptions, type LoadedPixels } from './tasks/classification/imageExamples.ts';
export {
  imageClassification,
  type ImageClassificationOptions,
  imageClassificationTask,
  imageClassifier,
  type ImageProcessorOptions,
  imageRegression,
  type ImageRegressionOptions,
  imageRegressionTask,
  multiLabelClassification,
  type MultiLabelOptions,
  multiLabelTask,
} from './tasks/classification/imageTasks.ts';
export type { ImageReading, ImageTask, ImageTaskOptions, ImageTools } from './tasks/imageTask.ts';
export {
  type FrozenBaselines,
  frozenBaselines,
  type FrozenBaselinesRequest,
  type MeasuredBaseline,
  type LabelledEmbeddings,
} from './tasks/embedding/baselines/frozenBaselines.ts';
export type { FeatureOptions, Pooling } from './tasks/embedding/features.ts';
export {
  imageEmbedder,
  imageEmbeddings,
  type ImageEmbeddingsOptions,
  imageEmbeddingTask,
  type ImageEmbedderOptions,
} from './tasks/embedding/imageEmbedder.ts';
export {
  type ImageGroup,
  imageRetrieval,
  type ImageRetrievalOptions,
  imageRetrievalTask,
} from './tasks/embedding/imageRetrieval.ts';
export {
  type CaptionedImage,
  imageText,
  type ImageTextOptions,
  imageTextTask,
  type Caption,
  type ImageTextScores,
} from './tasks/embedding/text/imageText.ts';
export { zeroShotClassifier, type ZeroShotOptions } from './tasks/embedding/text/zeroShot.ts';
export {
  type FoundMask,
  type GenerateMasksOptions,
  PromptableImage,
  type PromptAnswer,
} from './tasks/promptable/promptableImage.ts';
export type { MaskLogits } from './tasks/promptable/imageMask.ts';
export type { InputPrompt, Prompt } from './tasks/promptable/prompt.ts';
export type { PromptableExample } from './tasks/promptable/promptableDataset.ts';
export type { PromptableLoss, PromptableScores } from './tasks/promptable/promptableLoss.ts';
export {
  promptableSegmentation,
  type PromptableSegmentationOptions,
  promptableSegmentationTask,
} from './tasks/promptable/promptableSegmentation.ts';
export type { PromptOptions } from './tasks/promptable/promptSampling.ts';
export type { MaskChoice } from './tasks/promptable/samPorts.ts';
export { SamPredictor, type SamPredictorOptions } from './tasks/promptable/samPredictor.ts';
export {
  semanticSegmentation,
  type SemanticSegmentationOptions,
  semanticSegmentationTask,
  semanticSegmenter,
  type SemanticSegmenterOptions,
} from './tasks/segmentation/semanticSegmentation.ts';
export { type DetectorPorts, detectorOutputs } from './tasks/detection/detectorPorts.ts';
export {
  type ClassLoss,
  type DetectionLoss,
  detectionLoss,
  type DetectionTargets,
  type DetectorOutputs,
  type Predictions,
} from './tasks/detection/losses/detectionLoss.ts';
export type { GridAssignmentOptions } from './tasks/detection/losses/gridAssignment.ts';
export { offsetLoss } from './tasks/detection/losses/offsetLoss.ts';
export { gridLoss, type GridLossOptions } from './tasks/detection/losses/gridLoss.ts';
export { qualityLoss, type QualityLossOptions } from './tasks/detection/losses/qualityLoss.ts';
export type { EdgeBins, EdgeHeads } from './tasks/detection/losses/edgeLosses.ts';
export type { MatchingCost } from './tasks/detection/losses/matching.ts';
export { decodeGrid, type FoundBox, type GridDecoding } from './tasks/detection/decodeBoxes.ts';
export type { DetectionExample } from './tasks/detection/detectionData.ts';
export {
  type DetectionPrediction,
  instanceSegmenter,
  type InstancePrediction,
  objectDetector,
  type ObjectDetectorOptions,
} from './tasks/detection/answers.ts';
export type { DetectedObject, SegmentedObject } from './tasks/detection/cocoAnswers.ts';
export type { PixelLoss } from './tasks/detection/losses/maskLoss.ts';
export {
  instanceSegmentation,
  instanceSegmentationTask,
  objectDetection,
  type ObjectDetectionOptions,
  objectDetectionTask,
} from './tasks/detection/objectDetection.ts';
export type { DetectionScores, TrueObject } from './metrics/cocoEvaluation.ts';
export type { Extent } from './metrics/objectOverlaps.ts';
export { detectionTargets, type ImageObjects } from './tasks/detection/targets.ts';
export type { SegmentationScores, SegmentationLossOptions } from './tasks/segmentation/segmentationLoss.ts';
export type { SegmentationExample } from './tasks/segmentation/segmentationReport.ts';
export type { PromptableSegmenterOptions, MaskPrediction } from './tasks/promptable/promptableSegmenter.ts';
export type { SegmentationPrediction } from './tasks/segmentation/classMap.ts';
