/** @file The families ESM, ESM C, ESMFold and Evoformer. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { classifierNames, encoderModules } from '@onnx-lora/sequences';
import { isFolding, scienceFamily } from './scienceFamily.ts';

const esmFamily = scienceFamily({
  name: 'esm',
  title: 'ESM-2, ESM-1b, ESM-1v and Nucleotide Transformer',
  paper:
    'Lin et al., "Evolutionary-scale prediction of atomic-level protein structure with a language model" (2023), doi:10.1126/science.ade2574; Rives et al. (2021), doi:10.1073/pnas.2016239118; Meier et al. (2021), doi:10.1101/2021.07.09.450648; Dalla-Torre et al., "Nucleotide Transformer" (2024), doi:10.1038/s41592-024-02523-z',
  modelTypes: ['esm'],
  signatures: [['^esm.encoder.layer.{n}.attention.self.query', '!trunk.blocks.{n}']],
  names: {
    ...encoderModules,
    'contact-head': ['contact_head.regression'],
    'embedding.output': ['^lm_head.decoder'],
    head: ['^lm_head.dense', ...classifierNames],
  },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.up', 'mlp.down'],
  targetsFrom:
    'queries, keys, values and all dense layers: Schmirler et al., "Fine-tuning protein language models boosts predictions across diverse tasks" (2024), doi:10.1038/s41467-024-51844-2, with rank 4; for interactions of proteins keys and values were enough in Sledzieski et al., "Democratizing protein language models with parameter-efficient fine-tuning" (2024), doi:10.1073/pnas.2405840121',
  preprocessors: ['EsmTokenizer'],
});

/**
 * Meta's protein language models as in transformers, from 8 million to 15 billion parameters, and Nucleotide
 * Transformers, which are published as ESM: version 1 with learned positions, version 2 with rotary ones and a gated
 * feed-forward layer under the same names. A single .onnx file needs the prefix `esm.`: without it the names are BERT's.
 */
export const esm: DescribedFamily = {
  ...esmFamily,
  matches: (facts) => esmFamily.matches(facts) && !isFolding(facts),
};

const block = 'blocks.{n}';
const layer = 'layers.{n}';

/** ESM C with one joint projection (`esm`, ESM++) or three (transformers 5); adapters fit only one of the two. */
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
    'embedding.output': ['^lm_head.decoder'],
    head: ['^sequence_head.{n}', '^lm_head.dense', ...classifierNames],
  },
  preprocessors: ['EsmSequenceTokenizer', 'EsmTokenizer'],
});

/** Attention over rows, columns and triangles, and multiplicative triangle updates. */
const pairModules: RoleNames = {
  'attention.query': ['mha.linear_q'],
  'attention.key': ['mha.linear_k'],
  'attention.value': ['mha.linear_v'],
  'attention.gate': ['mha.linear_g'],
  'attention.output': ['mha.linear_o'],
  'attention.pair-bias': ['tri_att_start.linear', 'tri_att_end.linear'],
  'triangle-multiplication': [/(?:.*\.)?tri_mul_(?:in|out)\.linear_(?:[ab]_[pg]|g|z)/],
};

const esmfoldFamily = scienceFamily({
  name: 'esmfold',
  title: 'ESMFold',
  paper:
    'Lin et al., "Evolutionary-scale prediction of atomic-level protein structure with a language model" (2023), doi:10.1126/science.ade2574',
  modelTypes: [],
  signatures: [[`${block}.seq_attention.proj`]],
  names: {
    ...pairModules,
    'attention.query-key-value': [`${block}.seq_attention.proj`],
    'attention.gate': [...pairModules['attention.gate']!, `${block}.seq_attention.g_proj`],
    'attention.output': [...pairModules['attention.output']!, `${block}.seq_attention.o_proj`],
    'attention.pair-bias': [...pairModules['attention.pair-bias']!, `${block}.pair_to_sequence.linear`],
    'sequence-to-pair': [`${block}.sequence_to_pair.proj`, `${block}.sequence_to_pair.o_proj`],
    'mlp.up': [`${block}.mlp_seq.mlp.1`, `${block}.mlp_pair.mlp.1`],
    'mlp.down': [`${block}.mlp_seq.mlp.3`, `${block}.mlp_pair.mlp.3`],
    'embedding.position': ['pairwise_positional_embedding.embedding'],
  },
  tasks: [],
  preprocessors: ['EsmTokenizer'],
});

/** ESMFold's trunk (transformers 4 and 5) or its blocks, for your own loss; `is_folding_model` tells it from ESM. */
export const esmfold: DescribedFamily = {
  ...esmfoldFamily,
  matches: (facts) => esmfoldFamily.matches(facts) || (facts.config?.['model_type'] === 'esm' && isFolding(facts)),
};

/** AlphaFold 2's trunk blocks under OpenFold's names, alone or in the whole model, for your own loss. */
export const evoformer: DescribedFamily = scienceFamily({
  name: 'evoformer',
  title: 'Evoformer (AlphaFold 2, OpenFold)',
  paper:
    'Jumper et al., "Highly accurate protein structure prediction with AlphaFold" (2021), doi:10.1038/s41586-021-03819-2; Ahdritz et al., "OpenFold" (2024), doi:10.1038/s41592-024-02272-z',
  modelTypes: ['evoformer'],
  signatures: [['blocks.{n}.msa_att_row.mha.linear_q']],
  names: {
    ...pairModules,
    'attention.query': [...pairModules['attention.query']!, 'global_attention.linear_q'],
    'attention.key': [...pairModules['attention.key']!, 'global_attention.linear_k'],
    'attention.value': [...pairModules['attention.value']!, 'global_attention.linear_v'],
    'attention.gate': [...pairModules['attention.gate']!, 'global_attention.linear_g'],
    'attention.output': [...pairModules['attention.output']!, 'global_attention.linear_o'],
    'attention.pair-bias': [...pairModules['attention.pair-bias']!, 'msa_att_row.linear_z'],
    'outer-product': [/(?:.*\.)?outer_product_mean\.linear_(?:1|2|out)/],
    single: ['evoformer.linear'],
    'mlp.up': ['msa_transition.linear_1', 'pair_transition.linear_1'],
    'mlp.down': ['msa_transition.linear_2', 'pair_transition.linear_2'],
  },
  tasks: [],
  preprocessors: [],
});
