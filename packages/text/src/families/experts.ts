/** @file The families Mixtral and Qwen-MoE: decoders with a mixture of experts. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { llamaAttention } from './llama.ts';
import { textFamily } from './textFamily.ts';

const layer = 'layers.{n}';

/** Attention alone: experts hold most of the weights, yet each sees few tokens. */
const attentionOnly = {
  defaultTargets: ['attention.query', 'attention.key', 'attention.value', 'attention.output'],
  targetsFrom:
    'no study of this family; the attention of all layers, for every token passes it, while an expert sees those that are sent to it',
} as const;

/** transformers 5 stacks a layer's experts in two tensors, which PEFT adapts as `target_parameters`. */
const stacked = {
  'expert.gate-up': [{ 5: `${layer}.mlp.experts.gate_up_proj` }],
  'expert.down': [{ 5: `${layer}.mlp.experts.down_proj` }],
};

/** Mixtral. transformers 4 has layers per expert, transformers 5 stacks them; adapters of one do not fit the other. */
export const mixtral: DescribedFamily = textFamily({
  name: 'mixtral',
  title: 'Mixtral',
  paper: 'Jiang et al., "Mixtral of Experts" (2024), arXiv:2401.04088',
  modelTypes: ['mixtral'],
  signatures: [[`${layer}.block_sparse_moe`]],
  names: {
    ...llamaAttention,
    router: [{ 4: `${layer}.block_sparse_moe.gate`, 5: `${layer}.mlp.gate` }],
    'expert.gate': [{ 4: `${layer}.block_sparse_moe.experts.{n}.w1` }],
    'expert.up': [{ 4: `${layer}.block_sparse_moe.experts.{n}.w3` }],
    'expert.gate-up': stacked['expert.gate-up'],
    'expert.down': [{ 4: `${layer}.block_sparse_moe.experts.{n}.w2` }, ...stacked['expert.down']],
  },
  ...attentionOnly,
  preprocessors: ['LlamaTokenizer'],
});

/**
 * Qwen2-MoE, Qwen1.5-MoE and Qwen3-MoE, with other names than Mixtral's in transformers 4; Qwen2's layers add a shared
 * expert. A single .onnx file is recognised by the experts of either version.
 */
export const qwenMoe: DescribedFamily = textFamily({
  name: 'qwen2_moe',
  title: 'Qwen2-MoE and Qwen3-MoE',
  paper: 'Yang et al., "Qwen3 Technical Report" (2025), arXiv:2505.09388',
  modelTypes: ['qwen2_moe', 'qwen3_moe'],
  signatures: [[`${layer}.mlp.experts`]],
  names: {
    ...llamaAttention,
    router: [`${layer}.mlp.gate`],
    'expert.gate': [{ 4: `${layer}.mlp.experts.{n}.gate_proj` }],
    'expert.up': [{ 4: `${layer}.mlp.experts.{n}.up_proj` }],
    'expert.gate-up': stacked['expert.gate-up'],
    'expert.down': [{ 4: `${layer}.mlp.experts.{n}.down_proj` }, ...stacked['expert.down']],
    'shared-expert.gate': [`${layer}.mlp.shared_expert.gate_proj`],
    'shared-expert.up': [`${layer}.mlp.shared_expert.up_proj`],
    'shared-expert.down': [`${layer}.mlp.shared_expert.down_proj`],
    'shared-expert.router': [`${layer}.mlp.shared_expert_gate`],
    'mlp.gate': [`${layer}.mlp.gate_proj`],
    'mlp.up': [`${layer}.mlp.up_proj`],
    'mlp.down': [`${layer}.mlp.down_proj`],
  },
  ...attentionOnly,
  preprocessors: ['Qwen2Tokenizer'],
});
