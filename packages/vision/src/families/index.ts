/** @file All families of the vision package. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { deit } from './deit.ts';
import { vit } from './vit.ts';

/** Every vision family, for `openModel(source, { families: visionFamilies })`. */
export const visionFamilies: readonly ModelFamily[] = [vit, deit];
