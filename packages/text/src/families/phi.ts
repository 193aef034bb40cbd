/** @file The families Phi: Phi-3 and 4 with joint projections, and Phi-1 to 2. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { textFamily } from './textFamily.ts';

const layer = 'layers.{n}';
const around: RoleNames = { 'embedding.token': ['embed_tokens'], 'embedding.output': ['^lm_head'] };

/**
 * Phi-3, Phi-3.5 and Phi-4 under transformers' names, 4 and 5 alike, with joint query-key-value and gate-up layers.
 * onnxruntime-genai splits them.
 */
export const phi3: DescribedFamily = textFamily({
  name: 'phi3',
  title: 'Phi-3 and Phi-4',
  paper:
    'Abdin et al., "Phi-3 Technical Report: A Highly Capable Language Model Locally on Your Phone" (2024), arXiv:2404.14219',
  modelTypes: ['phi3'],
  signatures: [[`${layer}.self_attn.qkv_proj`, `${layer}.mlp.gate_up_proj`]],
  names: {
    ...around,
    'attention.query-key-value': [`${layer}.self_attn.qkv_proj`],
    'attention.output': [`${layer}.self_attn.o_proj`],
    'mlp.gate': [`${layer}.mlp.gate_proj`],
    'mlp.gate-up': [`${layer}.mlp.gate_up_proj`],
    'mlp.up': [`${layer}.mlp.up_proj`],
    'mlp.down': [`${layer}.mlp.down_proj`],
  },
  preprocessors: ['LlamaTokenizer', 'GPT2Tokenizer'],
});

/** Phi-1, 1.5 and 2 under transformers' names, 4 and 5 alike. */
export const phi: DescribedFamily = textFamily({
  name: 'phi',
  title: 'Phi-1, Phi-1.5 and Phi-2',
  paper: 'Li et al., "Textbooks Are All You Need II: phi-1.5 technical report" (2023), arXiv:2309.05463',
  modelTypes: ['phi'],
  signatures: [[`${layer}.self_attn.dense`, `${layer}.mlp.fc1`]],
  names: {
    ...around,
    'attention.query': [`${layer}.self_attn.q_proj`],
    'attention.key': [`${layer}.self_attn.k_proj`],
    'attention.value': [`${layer}.self_attn.v_proj`],
    'attention.output': [`${layer}.self_attn.dense`],
    'mlp.up': [`${layer}.mlp.fc1`],
    'mlp.down': [`${layer}.mlp.fc2`],
  },
  preprocessors: ['CodeGenTokenizer'],
});
