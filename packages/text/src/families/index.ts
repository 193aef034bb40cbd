/** @file All families of the text package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { llama } from './llama.ts';

/** Every family of texts, for `openModel(source, { families: textFamilies })`. */
export const textFamilies: readonly DescribedFamily[] = [llama];
