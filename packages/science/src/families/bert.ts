/** @file BERT and RoBERTa. */

import type { ModelFacts, ModelFamily } from '@onnx-lora/sdk';

const types: ReadonlySet<unknown> = new Set(['bert', 'roberta']);
const layer = String.raw`(?:.*\.)?encoder\.layer\.\d+\.`;

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
  recognise: ({ config, modulePaths }: ModelFacts): boolean => {
    if (config?.['model_type'] !== undefined) return types.has(config['model_type']);
    return modulePaths.some((path) => /^(?:ro)?bert(?:a)?\.encoder\.layer\.\d+\.attention\.self\.query$/.test(path));
  },
  roles: {
    'attention.query': [new RegExp(String.raw`${layer}attention\.self\.query`)],
    'attention.key': [new RegExp(String.raw`${layer}attention\.self\.key`)],
    'attention.value': [new RegExp(String.raw`${layer}attention\.self\.value`)],
    'attention.output': [new RegExp(String.raw`${layer}attention\.output\.dense`)],
    'mlp.in': [new RegExp(String.raw`${layer}intermediate\.dense`)],
    'mlp.out': [new RegExp(String.raw`${layer}output\.dense`)],
    'embedding.token': [/(?:.*\.)?embeddings\.word_embeddings/],
    'embedding.position': [/(?:.*\.)?embeddings\.position_embeddings/],
    'embedding.type': [/(?:.*\.)?embeddings\.token_type_embeddings/],
    pooler: [/(?:.*\.)?pooler\.dense/],
    head: [
      /lm_head(?:\.(?:dense|decoder))?/,
      /cls\.predictions\.(?:transform\.dense|decoder)/,
      /classifier(?:\.(?:dense|out_proj))?/,
    ],
  },
  defaultTargets: ['attention.query', 'attention.value'],
  tasks: ['masked-language-modelling', 'sequence-classification', 'token-classification'],
};
