/** @file All families of the science package. */

import type { ModelFamily } from '@onnx-lora/sdk';
import { bert } from './bert.ts';
import { esm } from './esm.ts';

/** Every science family, for `openModel(source, { families: scienceFamilies })`. */
export const scienceFamilies: readonly ModelFamily[] = [esm, bert];
