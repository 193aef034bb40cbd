/** @file What a thread does that preprocesses images: the same as the thread that asks for it. */

import type { Tensor } from '@onnx-lora/sdk';
import type { ImagePlan } from './imagePlan.ts';
import { ImagePreprocessor } from './preprocessor.ts';
import { SharpDecoder, type SharpDecoderOptions } from '../image/sharpDecoder.ts';

/** One image to preprocess, as it is sent to a thread. */
export interface ImageRequest {
  readonly file: string;
  readonly plan: ImagePlan;
  readonly limits: Required<SharpDecoderOptions>;
}

const preprocessors = new Map<string, ImagePreprocessor>();

/** Float32 `[3, height, width]` of a file. */
export function preprocess({ file, plan, limits }: ImageRequest): Promise<Tensor> {
  const key = JSON.stringify([plan, limits]);
  let preprocessor = preprocessors.get(key);
  if (!preprocessor) {
    preprocessor = new ImagePreprocessor(plan, new SharpDecoder(limits));
    preprocessors.set(key, preprocessor);
  }
  return preprocessor.preprocess(file);
}
