/** @file The family ALBERT. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { embeddingModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const layer = 'albert_layer_groups.{n}.albert_layers.{n}';

/** ALBERT as transformers writes it, 4 and 5 alike; ProtAlbert is one. All layers are the same one, and so is its adapter. */
export const albert: DescribedFamily = scienceFamily({
  name: 'albert',
  title: 'ALBERT',
  paper:
    'Lan et al., "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations" (2019), arXiv:1909.11942',
  modelTypes: ['albert'],
  signatures: [[`${layer}.attention.query`]],
  names: {
    'attention.query': [`${layer}.attention.query`],
    'attention.key': [`${layer}.attention.key`],
    'attention.value': [`${layer}.attention.value`],
    'attention.output': [`${layer}.attention.dense`],
    'mlp.up': [`${layer}.ffn`],
    'mlp.down': [`${layer}.ffn_output`],
    ...embeddingModules,
    'embedding.projection': ['encoder.embedding_hidden_mapping_in'],
    pooler: ['^albert.pooler', '^pooler'],
    head: ['^predictions.dense', '^predictions.decoder', '^classifier'],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['AlbertTokenizer'],
});
