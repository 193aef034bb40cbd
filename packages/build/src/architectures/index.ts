/** @file All architectures, by `model_type`. */

import type { Architecture } from '../architecture.ts';
import { bert } from './bert.ts';
import { deit } from './deit.ts';
import { llama, mistral, qwen2 } from './llama.ts';
import { vit } from './vit.ts';

/** What can be built. */
export const architectures: readonly Architecture[] = [bert, deit, llama, mistral, qwen2, vit];
