/** @file The family ESM C (ESM Cambrian). */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { classifierNames } from './encoderModules.ts';
import { maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const block = 'blocks.{n}';
const layer = 'layers.{n}';

/**
 * ESM C as its authors' package `esm` and ESM++ write it, with one joint projection, and as transformers 5 writes it, with
 * three. An adapter of one does not fit the other, as the joint projection's matrix A is one for all three.
 */
export const esmc: DescribedFamily = scienceFamily({
  name: 'esmc',
  title: 'ESM C',
  paper:
    'ESM Team, "ESM Cambrian: Revealing the mysteries of proteins with unsupervised learning" (2024), evolutionaryscale.ai/blog/esm-cambrian',
  modelTypes: ['esmc', 'ESMplusplus'],
  signatures: [[`transformer.${block}.attn.layernorm_qkv`], [`^esmc.${layer}.self_attn.q_proj`]],
  names: {
    'attention.query-key-value': [`${block}.attn.layernorm_qkv.1`],
    'attention.query': [`${layer}.self_attn.q_proj`],
    'attention.key': [`${layer}.self_attn.k_proj`],
    'attention.value': [`${layer}.self_attn.v_proj`],
    'attention.output': [`${block}.attn.out_proj`, `${layer}.self_attn.o_proj`],
    'mlp.gate': [`${layer}.mlp.gate_proj`],
    'mlp.up': [`${block}.ffn.1`, `${layer}.mlp.up_proj`],
    'mlp.down': [`${block}.ffn.3`, `${layer}.mlp.down_proj`],
    'embedding.token': ['embed', 'embed_tokens'],
    head: ['^sequence_head.{n}', '^lm_head.dense', '^lm_head.decoder', ...classifierNames],
  },
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: maskedModelTasks,
  preprocessors: ['EsmSequenceTokenizer', 'EsmTokenizer'],
});
