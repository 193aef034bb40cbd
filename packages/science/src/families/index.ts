/** @file All families of the science package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { albert, bert, deberta, distilbert, electra, modernbert, molformer, roberta } from './bert.ts';
import { esm, esmc, esmfold, evoformer } from './esm.ts';
import { t5 } from './t5.ts';

/** Every science family, for `openModel(source, { families: scienceFamilies })`. */
export const scienceFamilies: readonly DescribedFamily[] = [
  esm,
  esmc,
  t5,
  bert,
  roberta,
  molformer,
  distilbert,
  electra,
  albert,
  deberta,
  modernbert,
  esmfold,
  evoformer,
];
