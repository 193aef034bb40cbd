/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { bert } from './bert.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { mpnet } from './mpnet.ts';
import { t5 } from './t5.ts';
import { vit } from './vit.ts';
import { whisper } from './whisper.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [bert, llama, mistral, qwen2, mpnet, t5, vit, whisper];
