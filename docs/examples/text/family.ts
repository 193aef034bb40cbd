/** @file The model family of the example: encoders of texts with BERT's architecture, such as MiniLM. */

import { asInLora, describedFamily, type DescribedFamily } from '@onnx-lora/sdk/plugin';

const layer = 'encoder.layer.{n}';

/** BERT and MiniLM, which transformers 4 and 5 give the same names; sentence-transformers puts `0.auto_model` before them. */
export const textEncoder: DescribedFamily = describedFamily({
  name: 'bert',
  domain: 'paraphrases',
  title: 'BERT and MiniLM',
  paper:
    'Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2018), arXiv:1810.04805; Wang et al., "MiniLM" (2020), arXiv:2002.10957',
  modelTypes: ['bert'],
  signatures: [[`^bert.${layer}.attention.self.query`], [`^0.auto_model.${layer}.attention.self.query`]],
  names: {
    'attention.query': [`${layer}.attention.self.query`],
    'attention.key': [`${layer}.attention.self.key`],
    'attention.value': [`${layer}.attention.self.value`],
    'attention.output': [`${layer}.attention.output.dense`],
    'mlp.up': [`${layer}.intermediate.dense`],
    'mlp.down': [`${layer}.output.dense`],
  },
  defaultTargets: ['attention.query', 'attention.value'],
  targetsFrom: asInLora,
  tasks: ['paraphrase-embedding'],
  preprocessors: ['BertTokenizer'],
});
