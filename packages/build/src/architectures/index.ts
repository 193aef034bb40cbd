/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { bert } from './bert.ts';
import { distilbert } from './distilbert.ts';
import { esm } from './esm.ts';
import { gemma, gemma2 } from './gemma.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gptNeox.ts';
import { llama, mistral, qwen2, qwen3 } from './llama.ts';
import { phi3 } from './phi3.ts';
import { camembert, roberta, xlmRoberta } from './roberta.ts';
import { vit } from './vit.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [
  bert,
  camembert,
  distilbert,
  esm,
  gemma,
  gemma2,
  gpt2,
  gptNeox,
  llama,
  mistral,
  phi3,
  qwen2,
  qwen3,
  roberta,
  vit,
  xlmRoberta,
];
