/** @file The family ESM: ESM-1b, ESM-1v, ESM-2 and the Nucleotide Transformers. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { classifierNames, encoderModules } from './encoderModules.ts';
import { isFolding, maskedModelTasks, scienceFamily } from './scienceFamily.ts';

const family = scienceFamily({
  name: 'esm',
  title: 'ESM-2, ESM-1b, ESM-1v and Nucleotide Transformer',
  paper:
    'Lin et al., "Evolutionary-scale prediction of atomic-level protein structure with a language model" (2023), doi:10.1126/science.ade2574; Rives et al. (2021), doi:10.1073/pnas.2016239118; Meier et al. (2021), doi:10.1101/2021.07.09.450648; Dalla-Torre et al., "Nucleotide Transformer" (2024), doi:10.1038/s41592-024-02523-z',
  modelTypes: ['esm'],
  signatures: [['^esm.encoder.layer.{n}.attention.self.query', '!trunk.blocks.{n}']],
  names: {
    ...encoderModules,
    'contact-head': ['contact_head.regression'],
    head: ['^lm_head.dense', '^lm_head.decoder', ...classifierNames],
  },
  defaultTargets: ['attention.query', 'attention.key', 'attention.value', 'attention.output', 'mlp.up', 'mlp.down'],
  targetsFrom:
    'queries, keys, values and all dense layers: Schmirler et al., "Fine-tuning protein language models boosts predictions across diverse tasks" (2024), doi:10.1038/s41467-024-51844-2, with rank 4; for interactions of proteins keys and values were enough in Sledzieski et al., "Democratizing protein language models with parameter-efficient fine-tuning" (2024), doi:10.1073/pnas.2405840121',
  tasks: maskedModelTasks,
  preprocessors: ['EsmTokenizer'],
});

/**
 * Meta's protein language models as transformers writes them, from 8 million to 15 billion parameters, and the Nucleotide
 * Transformers, which are published as ESM: version 1 with learned positions, version 2 with rotary ones and a gated
 * feed-forward layer under the same names. A lone .onnx file is recognised by the prefix `esm.` only, because without
 * it the names are BERT's.
 */
export const esm: DescribedFamily = {
  ...family,
  matches: (facts) => family.matches(facts) && !isFolding(facts),
};
