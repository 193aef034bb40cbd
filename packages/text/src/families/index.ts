/** @file All families of the text package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderFamilies } from '@onnx-lora/sequences';
import { llama } from './llama.ts';

/** Every family of texts, for `openModel(source, { families: textFamilies })`. */
export const textFamilies: readonly DescribedFamily[] = [llama, ...encoderFamilies];
