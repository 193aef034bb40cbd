/** @file The family Evoformer: the trunk of AlphaFold 2 as OpenFold writes it. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { pairModules } from './pairModules.ts';
import { scienceFamily } from './scienceFamily.ts';

/**
 * The blocks of AlphaFold 2's trunk under OpenFold's names, by themselves or in the whole model: attention over alignments and
 * over pairs of residues. Adapters are placed, trained and merged there, with a loss of your own.
 */
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
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: [],
  preprocessors: [],
});
