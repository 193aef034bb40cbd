/** @file The family LLaMA, and those that took over its names: Mistral, Qwen, Gemma, SmolLM3. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { textFamily } from './textFamily.ts';

const layer = 'layers.{n}';

/** The attention of a decoder under LLaMA's names, its embedding and its head; transformers 4 and 5 use the same. */
export const llamaAttention: RoleNames = {
  'attention.query': [`${layer}.self_attn.q_proj`],
  'attention.key': [`${layer}.self_attn.k_proj`],
  'attention.value': [`${layer}.self_attn.v_proj`],
  'attention.output': [`${layer}.self_attn.o_proj`],
  'embedding.token': ['embed_tokens'],
  'embedding.output': ['^lm_head'],
};

/** With the gated feed-forward layers. */
const llamaNames: RoleNames = {
  ...llamaAttention,
  'mlp.gate': [`${layer}.mlp.gate_proj`],
  'mlp.up': [`${layer}.mlp.up_proj`],
  'mlp.down': [`${layer}.mlp.down_proj`],
};

/**
 * Decoders under LLaMA's names: attention with one key and value for several queries, rotary positions, gated feed-forward
 * layers. A lone .onnx file is recognised by these names alone, be it of LLaMA or of a family that took them over; where an
 * exporter has joined queries, keys and values, they are one layer, whose parts have these names. ESM C has them too.
 */
export const llama: DescribedFamily = textFamily({
  name: 'llama',
  title: 'LLaMA, SmolLM and TinyLlama',
  paper: 'Touvron et al., "LLaMA: Open and Efficient Foundation Language Models" (2023), arXiv:2302.13971',
  modelTypes: ['llama', 'granite', 'seed_oss'],
  signatures: ['q_proj', 'qkv_proj'].map((query) => [
    `${layer}.self_attn.${query}`,
    `${layer}.mlp.gate_proj`,
    '!^esmc',
    `!${layer}.mlp.experts`,
  ]),
  names: llamaNames,
  preprocessors: ['LlamaTokenizer', 'PreTrainedTokenizerFast'],
});

/** Mistral and Ministral as transformers writes them, 4 and 5 alike. */
export const mistral: DescribedFamily = textFamily({
  name: 'mistral',
  title: 'Mistral',
  paper: 'Jiang et al., "Mistral 7B" (2023), arXiv:2310.06825',
  modelTypes: ['mistral', 'ministral'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['LlamaTokenizer'],
});

/** Qwen2 and Qwen2.5 as transformers writes them, 4 and 5 alike: queries, keys and values have a bias. */
export const qwen2: DescribedFamily = textFamily({
  name: 'qwen2',
  title: 'Qwen2 and Qwen2.5',
  paper: 'Yang et al., "Qwen2 Technical Report" (2024), arXiv:2407.10671',
  modelTypes: ['qwen2'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['Qwen2Tokenizer'],
});

/** Qwen3 as transformers writes it, 4 and 5 alike: queries and keys are normed by head. */
export const qwen3: DescribedFamily = textFamily({
  name: 'qwen3',
  title: 'Qwen3',
  paper: 'Yang et al., "Qwen3 Technical Report" (2025), arXiv:2505.09388',
  modelTypes: ['qwen3'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['Qwen2Tokenizer'],
});

/** Gemma 1, 2 and 3 as transformers writes them, 4 and 5 alike; of Gemma 3 the text model, with or without the one for images. */
export const gemma: DescribedFamily = textFamily({
  name: 'gemma',
  title: 'Gemma 1, 2 and 3',
  paper:
    'Gemma Team, "Gemma: Open Models Based on Gemini Research and Technology" (2024), arXiv:2403.08295; "Gemma 2" (2024), arXiv:2408.00118; "Gemma 3 Technical Report" (2025), arXiv:2503.19786',
  modelTypes: ['gemma', 'gemma2', 'gemma3', 'gemma3_text'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['GemmaTokenizer'],
});

/** SmolLM3 as transformers writes it, 4 and 5 alike: every fourth layer has no rotary positions. */
export const smollm3: DescribedFamily = textFamily({
  name: 'smollm3',
  title: 'SmolLM3',
  paper: 'Bakouch et al., "SmolLM3: smol, multilingual, long-context reasoner" (2025), huggingface.co/blog/smollm3',
  modelTypes: ['smollm3'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['PreTrainedTokenizerFast'],
});
