/** @file Encoder families shared by several domains. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { albert, bert, deberta, distilbert, electra, modernbert, mpnet, roberta } from './bert.ts';
import { t5 } from './t5.ts';

/** Encoder families of texts; some models of them read proteins, DNA or molecules. */
export const encoderFamilies: readonly DescribedFamily[] = [
  bert,
  roberta,
  mpnet,
  distilbert,
  electra,
  albert,
  deberta,
  modernbert,
  t5,
];
