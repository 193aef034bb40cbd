/** @file Public API of the vision package. */

export { clip } from './families/clip.ts';
export { deit } from './families/deit.ts';
export { dinov2 } from './families/dinov2.ts';
export { visionFamilies } from './families/index.ts';
export { sam } from './families/sam.ts';
export { siglip } from './families/siglip.ts';
export { swin } from './families/swin.ts';
export { vit } from './families/vit.ts';
export type { Image, ImageDecoder } from './image.ts';
export {
  type ClassFolders,
  type ImageFolder,
  type LabelledFile,
  readClassFolders,
  readImageFolder,
} from './imageFolder.ts';
export type { ImagePlan, Size, SizeRule } from './imagePlan.ts';
export { visionModule } from './module.ts';
export type { Normalization } from './normalize.ts';
export { ImagePreprocessor } from './preprocessor.ts';
export { readImagePlan } from './preprocessorConfig.ts';
export { ImagePreprocessorFactory } from './preprocessorFactory.ts';
export { type ModelPreprocessor, preprocessorOf } from './preprocessorFile.ts';
export type { Resample } from './resampleFilters.ts';
export { resize } from './resize.ts';
export { SharpDecoder, type SharpDecoderOptions } from './sharpDecoder.ts';
export type { ScoredLabel } from './tasks/classificationDecode.ts';
export { imageClassification, type ImageClassificationOptions } from './tasks/imageClassification.ts';
export { ImageClassificationFactory } from './tasks/imageClassificationFactory.ts';
export { imageClassifier, type ImageClassifierOptions } from './tasks/imageClassifier.ts';
export type { ImageExample } from './tasks/imageDataset.ts';
export { IMAGE_DECODER } from './tokens.ts';
