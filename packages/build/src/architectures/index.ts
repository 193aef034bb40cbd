/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { ast } from './ast.ts';
import { bert } from './bert.ts';
import { hubert } from './hubert.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { modernbert } from './modernbert.ts';
import { moonshine } from './moonshine.ts';
import { mpnet } from './mpnet.ts';
import { mt5, t5 } from './t5.ts';
import { vit } from './vit.ts';
import { wav2vec2 } from './wav2vec2.ts';
import { wavlm } from './wavlm.ts';
import { whisper } from './whisper.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [
  bert,
  llama,
  mistral,
  qwen2,
  mpnet,
  mt5,
  t5,
  vit,
  whisper,
  wav2vec2,
  hubert,
  wavlm,
  ast,
  modernbert,
  moonshine,
];
