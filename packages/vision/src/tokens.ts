/** @file Keys under which this package binds its own ports. */

import { token } from '@onnx-lora/sdk';
import type { ServiceIdentifier } from 'inversify';
import type { ImageDecoder } from './image/image.ts';

/** The decoder of image files; bind another to replace sharp. */
export const IMAGE_DECODER: ServiceIdentifier<ImageDecoder> = token('ImageDecoder');
