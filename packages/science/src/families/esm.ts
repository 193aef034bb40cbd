/** @file ESM-1b and ESM-2. */

import { type ModelFamily, recogniser, rolesFrom } from '@onnx-lora/sdk';
import { encoderModules } from './encoderModules.ts';

/**
 * Meta's protein language models ESM-1b and ESM-2. transformers 4 and 5 use the same names: `esm.encoder.layer.N…`, or
 * `encoder.layer.N…` for an export of the base model. A lone .onnx file is recognised by the prefix `esm.` only,
 * because without it the names are BERT's.
 */
export const esm: ModelFamily = {
  name: 'esm',
  domain: 'science',
  recognise: recogniser({ modelTypes: ['esm'], marks: [['^esm.encoder.layer.{n}.attention.self.query']] }),
  roles: rolesFrom({
    ...encoderModules,
    'contact-head': ['contact_head.regression'],
    head: ['^lm_head.dense', '^lm_head.decoder', '^classifier', '^classifier.dense', '^classifier.out_proj'],
  }),
  defaultTargets: ['attention.query', 'attention.value'],
  tasks: ['masked-language-modelling', 'sequence-classification', 'token-classification'],
};
