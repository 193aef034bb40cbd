/** @file The encoder of the T5 family: texts, ProtT5, ProstT5 and Ankh. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderFamily, encoderTasks } from './encoderFamily.ts';

const layer = 'block.{n}.layer.{n}';

/** T5's encoder, as in transformers 4 and 5. One table of position biases serves all layers; scores are unscaled. */
export const t5: DescribedFamily = encoderFamily({
  name: 't5',
  title: 'T5, ProtT5, ProstT5 and Ankh',
  paper:
    'Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (2019), arXiv:1910.10683; Elnaggar et al., "ProtTrans" (2022), doi:10.1109/TPAMI.2021.3095381; Elnaggar et al., "Ankh" (2023), arXiv:2301.06568',
  modelTypes: ['t5', 'mt5'],
  signatures: [[`${layer}.SelfAttention.q`]],
  names: {
    'attention.query': [`${layer}.SelfAttention.q`],
    'attention.key': [`${layer}.SelfAttention.k`],
    'attention.value': [`${layer}.SelfAttention.v`],
    'attention.output': [`${layer}.SelfAttention.o`],
    'attention.position': [`${layer}.SelfAttention.relative_attention_bias`],
    'cross-attention.query': [`${layer}.EncDecAttention.q`],
    'cross-attention.key': [`${layer}.EncDecAttention.k`],
    'cross-attention.value': [`${layer}.EncDecAttention.v`],
    'cross-attention.output': [`${layer}.EncDecAttention.o`],
    'mlp.gate': [`${layer}.DenseReluDense.wi_0`],
    'mlp.up': [`${layer}.DenseReluDense.wi`, `${layer}.DenseReluDense.wi_1`],
    'mlp.down': [`${layer}.DenseReluDense.wo`],
    'embedding.token': ['shared', 'embed_tokens'],
    'embedding.output': ['^lm_head'],
    head: ['^classifier', '^classification_head.dense', '^classification_head.out_proj'],
  },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value', 'attention.output'],
  targetsFrom:
    'queries, keys, values and outputs of the attention: Schmirler et al., "Fine-tuning protein language models boosts predictions across diverse tasks" (2024), doi:10.1038/s41467-024-51844-2, which adapts ProtT5 and Ankh',
  tasks: encoderTasks,
  preprocessors: ['T5Tokenizer'],
});
