/** @file Common properties of the families of language models. */

import { describedFamily, type DescribedFamily, type FamilyDefinition, type FamilyFiles } from '@onnx-lora/sdk/plugin';

/** Roles of a decoder's linear layers; a family has some of them. */
const allLinear: readonly string[] = [
  'attention.query',
  'attention.key',
  'attention.value',
  'attention.query-key-value',
  'attention.output',
  'mlp.gate',
  'mlp.gate-up',
  'mlp.up',
  'mlp.down',
];

/**
 * A decoder as optimum exports it: one file with past keys and values as inputs, or a pair with and without them.
 * Training starts without a past, so the merged model drops these inputs and outputs; `model.part` keeps the file
 * unchanged for generation.
 */
const decoderFiles: FamilyFiles = {
  parts: [
    {
      name: 'model',
      alsoNamed: ['decoder_model', 'decoder_model_merged', 'model_with_past'],
      idleInputs: /^(?:use_cache_branch$|past_key_values\.|past_(?:key|value)_\d)/,
    },
    { name: 'model_with_past', onlyServes: true },
    { name: 'decoder_with_past_model', onlyServes: true },
    { name: 'decoder_model_merged', onlyServes: true },
  ],
  outputs: ['logits'],
  arePreferred: true,
};

type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks' | 'files'>;

/** Defines a family of language models; all linear layers are adapted unless `facts` say otherwise. */
export function textFamily(facts: FactsHere): DescribedFamily {
  return describedFamily({
    defaultTargets: allLinear.filter((role) => Object.hasOwn(facts.names, role)),
    targetsFrom:
      'all linear layers: Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs" (2023), arXiv:2305.14314, whose adapters of all layers equal full finetuning where those of queries and values do not',
    tasks: ['chat'],
    files: decoderFiles,
    ...facts,
    domain: 'text',
  });
}
