/** @file The family DeBERTa, versions 1 to 3. */

import { type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { classifierNames, debertaModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

/**
 * DeBERTa as transformers writes it, 4 and 5 alike; version 1 has one joint projection. Where the table of positions has no
 * norm, as in version 1, its projections read a constant, and are not found in the graph.
 */
export const deberta: DescribedFamily = scienceFamily({
  name: 'deberta-v2',
  title: 'DeBERTa',
  paper: 'He et al., "DeBERTa: Decoding-enhanced BERT with Disentangled Attention" (2020), arXiv:2006.03654',
  modelTypes: ['deberta-v2', 'deberta'],
  signatures: [['^deberta.encoder.layer.{n}.attention.self']],
  names: {
    ...debertaModules,
    pooler: ['^pooler.dense'],
    head: ['^cls.predictions.transform.dense', '^cls.predictions.decoder', ...classifierNames],
  },
  defaultTargets: queriesAndValues,
  targetsFrom:
    'queries and values: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 5.3, which adapts DeBERTa XXL',
  tasks: maskedModelTasks,
  preprocessors: ['DebertaV2Tokenizer', 'DebertaTokenizer'],
});
