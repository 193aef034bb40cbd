/** @file The family LLaMA, and those that share its names: Mistral, Qwen, Gemma, SmolLM3. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { textFamily } from './textFamily.ts';

const layer = 'layers.{n}';

/** Attention, embedding and head of a decoder under LLaMA's names, the same in transformers 4 and 5. */
export const llamaAttention: RoleNames = {
  'attention.query': [`${layer}.self_attn.q_proj`],
  'attention.key': [`${layer}.self_attn.k_proj`],
  'attention.value': [`${layer}.self_attn.v_proj`],
  'attention.output': [`${layer}.self_attn.o_proj`],
  'embedding.token': ['embed_tokens'],
  'embedding.output': ['^lm_head'],
};

const llamaNames: RoleNames = {
  ...llamaAttention,
  'mlp.gate': [`${layer}.mlp.gate_proj`],
  'mlp.up': [`${layer}.mlp.up_proj`],
  'mlp.down': [`${layer}.mlp.down_proj`],
};

/**
 * Decoders under LLaMA's names: grouped-query attention, rotary positions, gated feed-forward layers. A single .onnx file
 * is recognised by these names alone, whether of LLaMA or a family that shares them; a query-key-value layer that an
 * exporter joined has parts with these names. ESM C shares them, too.
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

/** Mistral and Ministral under transformers' names, 4 and 5 alike. */
export const mistral: DescribedFamily = textFamily({
  name: 'mistral',
  title: 'Mistral',
  paper: 'Jiang et al., "Mistral 7B" (2023), arXiv:2310.06825',
  modelTypes: ['mistral', 'ministral'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['LlamaTokenizer'],
});

/** Qwen2 and Qwen2.5 under transformers' names, 4 and 5 alike: queries, keys and values have a bias. */
export const qwen2: DescribedFamily = textFamily({
  name: 'qwen2',
  title: 'Qwen2 and Qwen2.5',
  paper: 'Yang et al., "Qwen2 Technical Report" (2024), arXiv:2407.10671',
  modelTypes: ['qwen2'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['Qwen2Tokenizer'],
});

/** Qwen3 under transformers' names, 4 and 5 alike: queries and keys are normalized per head. */
export const qwen3: DescribedFamily = textFamily({
  name: 'qwen3',
  title: 'Qwen3',
  paper: 'Yang et al., "Qwen3 Technical Report" (2025), arXiv:2505.09388',
  modelTypes: ['qwen3'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['Qwen2Tokenizer'],
});

/** Gemma 1 to 3 under transformers' names, 4 and 5 alike; Gemma 3's text model, alone or in the vision model. */
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

/** SmolLM3 under transformers' names, 4 and 5 alike: every fourth layer has no rotary positions. */
export const smollm3: DescribedFamily = textFamily({
  name: 'smollm3',
  title: 'SmolLM3',
  paper: 'Bakouch et al., "SmolLM3: smol, multilingual, long-context reasoner" (2025), huggingface.co/blog/smollm3',
  modelTypes: ['smollm3'],
  signatures: [],
  names: llamaNames,
  preprocessors: ['PreTrainedTokenizerFast'],
});
