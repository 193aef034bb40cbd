/** @file What this package lends to others, and takes from them. */

import { capability, type Capability } from '@onnx-lora/sdk';
import type { ImageDecoder } from './image/image.ts';

/** The decoder of image files; provide another to replace sharp. */
export const IMAGE_DECODER: Capability<ImageDecoder> = capability('image-decoder', {
  usuallyFrom: '@onnx-lora/vision',
});
