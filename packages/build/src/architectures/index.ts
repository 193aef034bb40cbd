/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { bert } from './bert.ts';
import { distilbert } from './distilbert.ts';
import { esm } from './esm.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gptNeox.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { camembert, roberta, xlmRoberta } from './roberta.ts';
import { vit } from './vit.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [
  bert,
  camembert,
  distilbert,
  esm,
  gpt2,
  gptNeox,
  llama,
  mistral,
  qwen2,
  roberta,
  vit,
  xlmRoberta,
];
