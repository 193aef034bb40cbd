/** @file The family BERT: ProtBERT, DNABERT and DNABERT-2. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { encoderModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const layer = 'encoder.layer.{n}';

/**
 * BERT as transformers writes it, 4 and 5 alike, and MosaicBERT, which DNABERT-2 is: one joint projection and a gated
 * feed-forward layer. A lone .onnx file is recognised by the prefix `bert.`, since without it the names are ESM's.
 */
export const bert: DescribedFamily = scienceFamily({
  name: 'bert',
  title: 'BERT, ProtBERT and DNABERT',
  paper:
    'Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding" (2018), arXiv:1810.04805; Elnaggar et al., "ProtTrans" (2022), doi:10.1109/TPAMI.2021.3095381; Ji et al., "DNABERT" (2021), doi:10.1093/bioinformatics/btab083; Zhou et al., "DNABERT-2" (2023), arXiv:2306.15006',
  modelTypes: ['bert'],
  signatures: [[`^bert.${layer}.attention.self.query`], [`^bert.${layer}.attention.self.Wqkv`]],
  names: {
    ...encoderModules,
    'attention.query-key-value': [`${layer}.attention.self.Wqkv`],
    'mlp.up': [...encoderModules['mlp.up']!, `${layer}.mlp.gated_layers`],
    'mlp.down': [...encoderModules['mlp.down']!, `${layer}.mlp.wo`],
    pooler: ['pooler.dense'],
    head: [
      '^cls.predictions.transform.dense',
      '^cls.predictions.decoder',
      '^cls.seq_relationship',
      '^qa_outputs',
      '^classifier',
    ],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['BertTokenizer', 'DNATokenizer', 'PreTrainedTokenizerFast'],
});
