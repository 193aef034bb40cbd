/** @file The modules that wav2vec 2.0 and the models after it have in common. */

import type { RoleNames } from '@onnx-lora/sdk/plugin';

/** Convolutions over the waveform, and what leads from them into the encoder. */
export const waveformModules: RoleNames = {
  'convolution.features': ['feature_extractor.conv_layers.{n}.conv'],
  'convolution.position': ['encoder.pos_conv_embed.conv', 'encoder.pos_conv_embed.layers.{n}.conv'],
  projection: ['feature_projection.projection'],
};

/** What stands behind the encoder: CTC's head, the classifiers', and x-vectors'. */
export const headModules: RoleNames = {
  head: ['^lm_head'],
  projector: ['^projector'],
  classifier: ['^classifier'],
  'x-vector': ['^tdnn.{n}.kernel', '^feature_extractor'],
};

/** wav2vec 2.0's encoder; transformers 4 and 5 use the same names. */
export const wav2vec2Modules: RoleNames = {
  ...waveformModules,
  'attention.query': ['encoder.layers.{n}.attention.q_proj'],
  'attention.key': ['encoder.layers.{n}.attention.k_proj'],
  'attention.value': ['encoder.layers.{n}.attention.v_proj'],
  'attention.output': ['encoder.layers.{n}.attention.out_proj'],
  'mlp.up': ['encoder.layers.{n}.feed_forward.intermediate_dense'],
  'mlp.down': ['encoder.layers.{n}.feed_forward.output_dense'],
  ...headModules,
};

/** A Conformer's encoder, as two families have it. */
export const conformerModules: RoleNames = {
  'attention.query': ['encoder.layers.{n}.self_attn.linear_q'],
  'attention.key': ['encoder.layers.{n}.self_attn.linear_k'],
  'attention.value': ['encoder.layers.{n}.self_attn.linear_v'],
  'attention.output': ['encoder.layers.{n}.self_attn.linear_out'],
  'attention.position': ['encoder.layers.{n}.self_attn.linear_pos', 'encoder.layers.{n}.self_attn.distance_embedding'],
  'convolution.pointwise': ['encoder.layers.{n}.conv_module.pointwise_conv{n}'],
  'convolution.depthwise': ['encoder.layers.{n}.conv_module.depthwise_conv'],
  'mlp.up': ['encoder.layers.{n}.ffn{n}.intermediate_dense'],
  'mlp.down': ['encoder.layers.{n}.ffn{n}.output_dense'],
};

/** The modules between encoder and head that shorten the sequence, where a model has them. */
export const adapterModules: RoleNames = {
  'adapter.convolution': [/(?:.*\.)?adapter\.layers\.\d+\.(?:conv|self_attn_conv|residual_conv)/],
  'adapter.projection': [/(?:.*\.)?adapter\.proj/],
};
