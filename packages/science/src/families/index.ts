/** @file All families of the science package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderFamilies } from '@onnx-lora/sequences';
import { esm, esmc, esmfold, evoformer } from './esm.ts';
import { molformer } from './molformer.ts';

/** Every science family and shared text encoder, for `openModel(source, { families: scienceFamilies })`. */
export const scienceFamilies: readonly DescribedFamily[] = [
  esm,
  esmc,
  molformer,
  esmfold,
  evoformer,
  ...encoderFamilies,
];
