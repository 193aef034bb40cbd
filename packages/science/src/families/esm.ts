/** @file ESM-1b and ESM-2. */

import type { ModelFacts, ModelFamily } from '@onnx-lora/sdk';

const layer = String.raw`(?:.*\.)?encoder\.layer\.\d+\.`;

/**
 * Meta's protein language models ESM-1b and ESM-2. transformers 4 and 5 use the same names: `esm.encoder.layer.N…`, or
 * `encoder.layer.N…` for an export of the base model. A lone .onnx file is recognised by the prefix `esm.` only,
 * because without it the names are BERT's.
 */
export const esm: ModelFamily = {
  name: 'esm',
  domain: 'science',
  recognise: ({ config, modulePaths }: ModelFacts): boolean => {
    if (config?.['model_type'] !== undefined) return config['model_type'] === 'esm';
    return modulePaths.some((path) => /^esm\.encoder\.layer\.\d+\.attention\.self\.query$/.test(path));
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
    'contact-head': [/(?:.*\.)?contact_head\.regression/],
    head: [/lm_head\.(?:dense|decoder)/, /classifier(?:\.(?:dense|out_proj))?/],
  },
  defaultTargets: ['attention.query', 'attention.value'],
  tasks: ['masked-language-modelling', 'sequence-classification', 'token-classification'],
};
