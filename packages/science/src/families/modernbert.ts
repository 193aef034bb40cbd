/** @file The family ModernBERT. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const layer = 'layers.{n}';

/** ModernBERT as transformers writes it, 4 and 5 alike: a joint projection, a gated feed-forward layer, local attention. */
export const modernbert: DescribedFamily = scienceFamily({
  name: 'modernbert',
  title: 'ModernBERT',
  paper:
    'Warner et al., "Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory Efficient, and Long Context Finetuning and Inference" (2024), arXiv:2412.13663',
  modelTypes: ['modernbert'],
  signatures: [[`${layer}.attn.Wqkv`, `${layer}.mlp.Wi`]],
  names: {
    'attention.query-key-value': [`${layer}.attn.Wqkv`],
    'attention.output': [`${layer}.attn.Wo`],
    'mlp.up': [`${layer}.mlp.Wi`],
    'mlp.down': [`${layer}.mlp.Wo`],
    'embedding.token': ['embeddings.tok_embeddings'],
    head: ['^head.dense', '^decoder', '^classifier'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['PreTrainedTokenizerFast'],
});
