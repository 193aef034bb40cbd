/** @file What every use of features begins with: the feature of a model, and its preprocessor. */

import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type ImageReading, type OpenedImages, openImages } from '../imageReading.ts';
import { type FeatureOptions, type Features, featuresOf } from './features.ts';

/** The feature of a model, and what makes its images. */
export interface OpenedFeatures extends OpenedImages {
  readonly features: Features;
}

/**
 * Finds both.
 *
 * @throws OnnxLoraError as {@link featuresOf} and {@link openImages}
 */
export async function openFeatures(model: TaskModel, options: FeatureOptions & ImageReading): Promise<OpenedFeatures> {
  const features = featuresOf(model, options);
  return { features, ...(await openImages(model, features.input.name, options)) };
}
