/** @file All families of the text package. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderFamilies } from '@onnx-lora/sequences';
import { mixtral, qwenMoe } from './experts.ts';
import { bloom, gpt2, gptNeox, opt } from './gpt.ts';
import { gemma, llama, mistral, qwen2, qwen3, smollm3 } from './llama.ts';
import { phi, phi3 } from './phi.ts';

/** All families of texts, for `openModel(source, { families: textFamilies })`. */
export const textFamilies: readonly DescribedFamily[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  smollm3,
  phi3,
  phi,
  mixtral,
  qwenMoe,
  gpt2,
  gptNeox,
  opt,
  bloom,
  ...encoderFamilies,
];
