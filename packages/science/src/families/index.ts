/** @file All families of the science package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { albert } from './albert.ts';
import { bert } from './bert.ts';
import { deberta } from './deberta.ts';
import { distilbert } from './distilbert.ts';
import { electra } from './electra.ts';
import { esm } from './esm.ts';
import { esmc } from './esmc.ts';
import { esmfold } from './esmfold.ts';
import { evoformer } from './evoformer.ts';
import { modernbert } from './modernbert.ts';
import { molformer } from './molformer.ts';
import { roberta } from './roberta.ts';
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
