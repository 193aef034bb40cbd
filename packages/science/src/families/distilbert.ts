/** @file The family DistilBERT. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { embeddingModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const layer = 'transformer.layer.{n}';

/** DistilBERT as transformers writes it, 4 and 5 alike. */
export const distilbert: DescribedFamily = scienceFamily({
  name: 'distilbert',
  title: 'DistilBERT',
  paper:
    'Sanh et al., "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter" (2019), arXiv:1910.01108',
  modelTypes: ['distilbert'],
  signatures: [[`${layer}.attention.q_lin`]],
  names: {
    'attention.query': [`${layer}.attention.q_lin`],
    'attention.key': [`${layer}.attention.k_lin`],
    'attention.value': [`${layer}.attention.v_lin`],
    'attention.output': [`${layer}.attention.out_lin`],
    'mlp.up': [`${layer}.ffn.lin1`],
    'mlp.down': [`${layer}.ffn.lin2`],
    ...embeddingModules,
    head: ['^vocab_transform', '^vocab_projector', '^pre_classifier', '^classifier'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['DistilBertTokenizer'],
});
