/** @file The family LLaMA, whose names most language models took over. */

import { describedFamily, type DescribedFamily } from '@onnx-lora/sdk/plugin';

const layer = 'layers.{n}';

/**
 * Decoders under LLaMA's names: attention with one key and value for several queries, rotary positions, gated feed-forward layers.
 * A lone .onnx file is recognised by these names alone.
 */
export const llama: DescribedFamily = describedFamily({
  name: 'llama',
  domain: 'text',
  title: 'LLaMA, SmolLM and TinyLlama',
  paper: 'Touvron et al., "LLaMA: Open and Efficient Foundation Language Models" (2023), arXiv:2302.13971',
  modelTypes: ['llama'],
  signatures: [[`${layer}.self_attn.q_proj`, `${layer}.mlp.gate_proj`]],
  names: {
    'attention.query': [`${layer}.self_attn.q_proj`],
    'attention.key': [`${layer}.self_attn.k_proj`],
    'attention.value': [`${layer}.self_attn.v_proj`],
    'attention.output': [`${layer}.self_attn.o_proj`],
    'mlp.gate': [`${layer}.mlp.gate_proj`],
    'mlp.up': [`${layer}.mlp.up_proj`],
    'mlp.down': [`${layer}.mlp.down_proj`],
    'embedding.token': ['embed_tokens'],
    head: ['^lm_head'],
  },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.gate', 'mlp.up', 'mlp.down'], // prettier-ignore
  targetsFrom:
    'all linear layers: Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs" (2023), arXiv:2305.14314, whose adapters of all layers equal full finetuning where those of queries and values do not',
  tasks: ['chat'],
  preprocessors: ['LlamaTokenizer'],
});
