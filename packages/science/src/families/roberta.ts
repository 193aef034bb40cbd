/** @file The family RoBERTa: ChemBERTa and models of antibodies. */

import { type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { classifierNames, encoderModules } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

/**
 * RoBERTa as transformers writes it, 4 and 5 alike: ChemBERTa for molecules, AbLang's port and its like for antibodies. A
 * lone .onnx file is recognised by the prefix `roberta.`.
 */
export const roberta: DescribedFamily = scienceFamily({
  name: 'roberta',
  title: 'RoBERTa and ChemBERTa',
  paper:
    'Liu et al., "RoBERTa: A Robustly Optimized BERT Pretraining Approach" (2019), arXiv:1907.11692; Chithrananda et al., "ChemBERTa" (2020), arXiv:2010.09885; Olsen et al., "AbLang" (2022), doi:10.1093/bioadv/vbac046',
  modelTypes: ['roberta'],
  signatures: [['^roberta.encoder.layer.{n}.attention.self.query']],
  names: {
    ...encoderModules,
    pooler: ['pooler.dense'],
    head: ['^lm_head', '^lm_head.dense', '^lm_head.decoder', '^qa_outputs', ...classifierNames],
  },
  defaultTargets: queriesAndValues,
  targetsFrom:
    'queries and values: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685, section 5.2, which adapts RoBERTa',
  tasks: maskedModelTasks,
  preprocessors: ['RobertaTokenizer'],
});
