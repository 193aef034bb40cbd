/** @file Public API of the vision package. */

export { clip } from './families/clip.ts';
export { deit } from './families/deit.ts';
export { dinov2 } from './families/dinov2.ts';
export { visionFamilies } from './families/index.ts';
export { sam } from './families/sam.ts';
export { siglip } from './families/siglip.ts';
export { swin } from './families/swin.ts';
export { vit } from './families/vit.ts';
export type { Image, ImageDecoder } from './image/image.ts';
export {
  type ClassFolders,
  type ImageFolder,
  type LabelledFile,
  readClassFolders,
  readImageFolder,
} from './data/imageFolder.ts';
export type { ImagePlan, Size, SizeRule } from './preprocess/imagePlan.ts';
export { visionModule } from './module.ts';
export type { Normalization } from './preprocess/normalize.ts';
export { ImagePreprocessor } from './preprocess/preprocessor.ts';
export { readImagePlan } from './preprocess/preprocessorConfig.ts';
export { ImagePreprocessorFactory } from './preprocess/preprocessorFactory.ts';
export { type ModelPreprocessor, preprocessorOf } from './preprocess/preprocessorFile.ts';
export type { Resample } from './preprocess/resampleFilters.ts';
export { resize } from './preprocess/resize.ts';
export { SharpDecoder, type SharpDecoderOptions } from './image/sharpDecoder.ts';
export type { ScoredLabel } from './tasks/classification/classificationDecode.ts';
export { imageClassification, type ImageClassificationOptions } from './tasks/classification/imageClassification.ts';
export { ImageClassificationFactory } from './tasks/classification/imageClassificationFactory.ts';
export { imageClassifier, type ImageClassifierOptions } from './tasks/classification/imageClassifier.ts';
export type { ImageExample } from './tasks/classification/imageDataset.ts';
export { IMAGE_DECODER } from './tokens.ts';
