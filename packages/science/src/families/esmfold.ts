/** @file The family ESMFold: the trunk over a protein's residues and pairs of them. */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { pairModules } from './pairModules.ts';
import { isFolding, scienceFamily } from './scienceFamily.ts';

const block = 'blocks.{n}';

const family = scienceFamily({
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
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: [],
  preprocessors: ['EsmTokenizer'],
});

/**
 * The trunk of ESMFold as transformers writes it, 4 and 5 alike, or a graph of its blocks: adapters are placed, trained and
 * merged there, with a loss of your own. Its `model_type` is ESM's; `is_folding_model` tells it apart.
 */
export const esmfold: DescribedFamily = {
  ...family,
  matches: (facts) => family.matches(facts) || (facts.config?.['model_type'] === 'esm' && isFolding(facts)),
};
