/** @file BERT and RoBERTa. */

import { type ModelFamily, recogniser, rolesFrom } from '@onnx-lora/sdk';
import { encoderModules } from './encoderModules.ts';

/**
 * BERT and RoBERTa, as which models of molecules (ChemBERTa), proteins (ProtBERT) and DNA (DNABERT) are published. transformers 4
 * and 5 use the same names. A lone .onnx file is recognised by the prefix `bert.` or `roberta.`, since without it the
 * names are ESM's.
 *
 * @see Devlin et al., "BERT" (2018), arXiv:1810.04805; Liu et al., "RoBERTa" (2019), arXiv:1907.11692
 */
export const bert: ModelFamily = {
  name: 'bert',
  domain: 'science',
  recognise: recogniser({
    modelTypes: ['bert', 'roberta'],
    marks: ['bert', 'roberta'].map((prefix) => [`^${prefix}.encoder.layer.{n}.attention.self.query`]),
  }),
  roles: rolesFrom({
    ...encoderModules,
    'embedding.type': ['embeddings.token_type_embeddings'],
    pooler: ['pooler.dense'],
    head: [
      '^lm_head',
      '^lm_head.dense',
      '^lm_head.decoder',
      '^cls.predictions.transform.dense',
      '^cls.predictions.decoder',
      '^classifier',
      '^classifier.dense',
      '^classifier.out_proj',
    ],
  }),
  defaultTargets: ['attention.query', 'attention.value'],
  tasks: ['masked-language-modelling', 'sequence-classification', 'token-classification'],
};
