/** @file Common properties of the families of language models. */

import { describedFamily, type DescribedFamily, type FamilyDefinition, type FamilyFiles } from '@onnx-lora/sdk/plugin';

/** Roles of all linear layers of a decoder, of which a family has some. */
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
 * As optimum writes a decoder: one file with the keys and values of earlier positions as inputs, or a pair with and without
 * them. What is trained begins without any, so that the joined model neither asks for them nor yields them; `model.part` has
 * the file as it is, which writes text token by token.
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

/** What is said of a family here; all linear layers are adapted unless it says otherwise. */
type FactsHere = Omit<FamilyDefinition, 'domain' | 'tasks' | 'files'>;

/** A family of language models, from its facts. */
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
