/** @file wav2vec 2.0 and the models with its encoder. */

import type { ModelFacts, ModelFamily } from '@onnx-lora/sdk';

/** Types whose modules have wav2vec 2.0's names. WavLM has them too, but reads q_proj's weight without calling it. */
const types: ReadonlySet<unknown> = new Set(['wav2vec2', 'hubert', 'unispeech', 'unispeech-sat', 'data2vec-audio']);
const layer = String.raw`(?:.*\.)?encoder\.layers\.\d+\.`;

/**
 * wav2vec 2.0, XLS-R, HuBERT, UniSpeech and data2vec as transformers writes them; versions 4 and 5 use the same names. A
 * lone .onnx file is recognised by its first convolution and its encoder.
 *
 * @see Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations" (2020),
 *   arXiv:2006.11477
 */
export const wav2vec2: ModelFamily = {
  name: 'wav2vec2',
  domain: 'speech',
  recognise: ({ config, modulePaths }: ModelFacts): boolean => {
    if (config?.['model_type'] !== undefined) return types.has(config['model_type']);
    const has = (pattern: RegExp): boolean => modulePaths.some((path) => pattern.test(path));
    return (
      has(/^(?:(?!wavlm\.)\w+\.)?feature_extractor\.conv_layers\.0\.conv$/) &&
      has(/^(?:(?!wavlm\.)\w+\.)?encoder\.layers\.\d+\.attention\.q_proj$/)
    );
  },
  roles: {
    'attention.query': [new RegExp(String.raw`${layer}attention\.q_proj`)],
    'attention.key': [new RegExp(String.raw`${layer}attention\.k_proj`)],
    'attention.value': [new RegExp(String.raw`${layer}attention\.v_proj`)],
    'attention.output': [new RegExp(String.raw`${layer}attention\.out_proj`)],
    'mlp.in': [new RegExp(String.raw`${layer}feed_forward\.intermediate_dense`)],
    'mlp.out': [new RegExp(String.raw`${layer}feed_forward\.output_dense`)],
    'convolution.features': [/(?:.*\.)?feature_extractor\.conv_layers\.\d+\.conv/],
    'convolution.position': [/(?:.*\.)?encoder\.pos_conv_embed(?:\.layers\.\d+)?\.conv/],
    projection: [/(?:.*\.)?feature_projection\.projection/],
    head: [/lm_head|projector|classifier/],
  },
  defaultTargets: ['attention.query', 'attention.value'],
  tasks: ['speech-recognition'],
};
