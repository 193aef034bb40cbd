/** @file Whisper. */

import type { ModelFacts, ModelFamily } from '@onnx-lora/sdk';

const layer = String.raw`(?:.*\.)?layers\.\d+\.`;

/**
 * OpenAI's Whisper and its distillations. Exports of the whole model begin at `model.encoder` or `model.decoder`, an
 * encoder's own at `layers`; transformers 4 and 5 use the same names. A lone .onnx file without config.json is
 * recognised by the encoder's two convolutions, which no decoder file holds.
 */
export const whisper: ModelFamily = {
  name: 'whisper',
  domain: 'speech',
  recognise: ({ config, modulePaths }: ModelFacts): boolean => {
    if (config?.['model_type'] !== undefined) return config['model_type'] === 'whisper';
    const has = (pattern: RegExp): boolean => modulePaths.some((path) => pattern.test(path));
    return (
      has(/^(?:(?:model\.)?encoder\.)?conv1$/) &&
      has(/^(?:(?:model\.)?encoder\.)?conv2$/) &&
      has(/^(?:(?:model\.)?encoder\.)?layers\.\d+\.self_attn\.q_proj$/)
    );
  },
  roles: {
    'attention.query': [new RegExp(String.raw`${layer}self_attn\.q_proj`)],
    'attention.key': [new RegExp(String.raw`${layer}self_attn\.k_proj`)],
    'attention.value': [new RegExp(String.raw`${layer}self_attn\.v_proj`)],
    'attention.output': [new RegExp(String.raw`${layer}self_attn\.out_proj`)],
    'cross-attention.query': [new RegExp(String.raw`${layer}encoder_attn\.q_proj`)],
    'cross-attention.key': [new RegExp(String.raw`${layer}encoder_attn\.k_proj`)],
    'cross-attention.value': [new RegExp(String.raw`${layer}encoder_attn\.v_proj`)],
    'cross-attention.output': [new RegExp(String.raw`${layer}encoder_attn\.out_proj`)],
    'mlp.in': [new RegExp(String.raw`${layer}fc1`)],
    'mlp.out': [new RegExp(String.raw`${layer}fc2`)],
    'convolution.first': [/(?:.*\.)?conv1/],
    'convolution.second': [/(?:.*\.)?conv2/],
    'embedding.token': [/(?:.*\.)?embed_tokens/],
    'embedding.position': [/(?:.*\.)?embed_positions/],
    head: [/(?:.*\.)?proj_out/],
  },
  // PEFT's own choice for Whisper: q_proj and v_proj wherever they occur.
  defaultTargets: ['attention.query', 'attention.value', 'cross-attention.query', 'cross-attention.value'],
  tasks: ['speech-recognition'],
  files: {
    parts: [
      { name: 'encoder_model', prefix: 'model.encoder' },
      {
        name: 'decoder_model',
        // Both decoders in one: without a past it is the first.
        alsoNamed: ['decoder_model_merged'],
        idleInputs: /^(?:use_cache_branch$|past_key_values\.)/,
        reads: { encoder_hidden_states: 'last_hidden_state' },
        inputNames: { input_ids: 'decoder_input_ids' },
      },
      { name: 'decoder_with_past_model', onlyServes: true },
      { name: 'decoder_model_merged', onlyServes: true },
    ],
    // Keys and values that serving keeps are of no use in training.
    outputs: ['logits'],
  },
};
