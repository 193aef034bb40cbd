/** @file Families of speech encoders: wav2vec 2.0, its relatives, and AST. */

import type { DescribedFamily, RoleNames } from '@onnx-lora/sdk/plugin';
import { speechFamily } from './speechFamily.ts';

/** The convolutions over the waveform, and their projection into the encoder. */
const waveformModules: RoleNames = {
  'convolution.features': ['feature_extractor.conv_layers.{n}.conv'],
  'convolution.position': ['encoder.pos_conv_embed.conv', 'encoder.pos_conv_embed.layers.{n}.conv'],
  projection: ['feature_projection.projection'],
};

/** Heads: CTC, classification and x-vectors. */
const headModules: RoleNames = {
  head: ['^lm_head'],
  projector: ['^projector'],
  classifier: ['^classifier'],
  'x-vector': ['^tdnn.{n}.kernel', '^feature_extractor'],
};

/** wav2vec 2.0's encoder; transformers 4 and 5 use the same names. */
const wav2vec2Modules: RoleNames = {
  ...waveformModules,
  'attention.query': ['encoder.layers.{n}.attention.q_proj'],
  'attention.key': ['encoder.layers.{n}.attention.k_proj'],
  'attention.value': ['encoder.layers.{n}.attention.v_proj'],
  'attention.output': ['encoder.layers.{n}.attention.out_proj'],
  'mlp.up': ['encoder.layers.{n}.feed_forward.intermediate_dense'],
  'mlp.down': ['encoder.layers.{n}.feed_forward.output_dense'],
  ...headModules,
};

/** The Conformer encoder of two families. */
const conformerModules: RoleNames = {
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

/** The adapter after the encoder that shortens the sequence. */
const adapterModules: RoleNames = {
  'adapter.convolution': [/(?:.*\.)?adapter\.layers\.\d+\.(?:conv|self_attn_conv|residual_conv)/],
  'adapter.projection': [/(?:.*\.)?adapter\.proj/],
};

/** wav2vec 2.0, XLS-R and MMS as transformers writes them. MMS's own language adapter is in the graph as exported. */
export const wav2vec2: DescribedFamily = speechFamily({
  name: 'wav2vec2',
  title: 'wav2vec 2, XLS-R and MMS',
  paper:
    'Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations" (2020), arXiv:2006.11477',
  modelTypes: ['wav2vec2', 'mms'],
  signatures: [
    ['^wav2vec2.encoder.layers.{n}.attention.q_proj'],
    // A base model exported alone; HuBERT and UniSpeech look the same then.
    [
      '^feature_extractor.conv_layers.{n}.conv',
      '^feature_projection.projection',
      '^encoder.layers.{n}.attention.q_proj',
      '!^encoder.pos_conv_embed.layers',
    ],
  ],
  names: { ...wav2vec2Modules, ...adapterModules },
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** HuBERT and DistilHuBERT as transformers writes them: wav2vec 2.0's network with another pre-training. */
export const hubert: DescribedFamily = speechFamily({
  name: 'hubert',
  title: 'HuBERT',
  paper:
    'Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden Units" (2021), arXiv:2106.07447',
  modelTypes: ['hubert'],
  signatures: [['^hubert.encoder.layers.{n}.attention.q_proj']],
  names: wav2vec2Modules,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** UniSpeech and UniSpeech-SAT as transformers writes them: wav2vec 2.0's network with another pre-training. */
export const unispeech: DescribedFamily = speechFamily({
  name: 'unispeech',
  title: 'UniSpeech and UniSpeech-SAT',
  paper:
    'Wang et al., "UniSpeech: Unified Speech Representation Learning with Labeled and Unlabeled Data" (2021), arXiv:2101.07597',
  modelTypes: ['unispeech', 'unispeech-sat'],
  signatures: [['^unispeech.encoder.layers.{n}'], ['^unispeech_sat.encoder.layers.{n}']],
  names: wav2vec2Modules,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** data2vec's speech model as transformers writes it: wav2vec 2.0's network with stacked positional convolutions. */
export const data2vecAudio: DescribedFamily = speechFamily({
  name: 'data2vec-audio',
  title: 'data2vec (audio)',
  paper:
    'Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and Language" (2022), arXiv:2202.03555',
  modelTypes: ['data2vec-audio'],
  signatures: [
    ['^data2vec_audio.encoder.layers.{n}'],
    ['^encoder.pos_conv_embed.layers.{n}', '^encoder.layers.{n}.attention.q_proj'],
  ],
  names: { ...wav2vec2Modules, ...adapterModules },
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** SEW as transformers writes it: wav2vec 2.0's encoder on a shortened sequence. */
export const sew: DescribedFamily = speechFamily({
  name: 'sew',
  title: 'SEW',
  paper:
    'Wu et al., "Performance-Efficiency Trade-offs in Unsupervised Pre-training for Speech Recognition" (2021), arXiv:2109.06870',
  modelTypes: ['sew'],
  signatures: [['^sew.encoder.layers.{n}'], ['^encoder.upsample.projection', '^encoder.layers.{n}.attention.q_proj']],
  names: {
    ...wav2vec2Modules,
    projection: ['^feature_projection', '^sew.feature_projection', 'encoder.upsample.projection'],
  },
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

const { 'attention.output': output, 'mlp.up': up, 'mlp.down': down, ...others } = wav2vec2Modules;

/**
 * WavLM as transformers writes it: wav2vec 2.0's network with gated relative positions. Its attention reads the weights
 * of queries, keys, values and output past those modules, so an exported graph knows only a layer's other modules by
 * name.
 */
export const wavlm: DescribedFamily = speechFamily({
  name: 'wavlm',
  title: 'WavLM',
  paper:
    'Chen et al., "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing" (2021), arXiv:2110.13900',
  modelTypes: ['wavlm'],
  signatures: [['^wavlm.encoder.layers.{n}'], ['^encoder.layers.{n}.attention.gru_rel_pos_linear']],
  names: {
    ...others,
    'attention.query, key and value': [/(?:.*\.)?encoder\.layers\.\d+\.attention(?:\.(?:node_)?MatMul_\d+)?/],
    'attention.output': output!,
    'attention.gate': ['encoder.layers.{n}.attention.gru_rel_pos_linear'],
    'attention.position': ['encoder.layers.{n}.attention.rel_attn_embed'],
    'mlp.up': up!,
    'mlp.down': down!,
    ...adapterModules,
  },
  defaultTargets: ['mlp.up', 'mlp.down'],
  targetsFrom:
    "the feed-forward layers, since in torch adapters in this model's attention have no effect: it reads q_proj.weight and its like without calling the modules that PEFT wraps",
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** wav2vec 2.0 with a Conformer encoder, relative or rotary positions, as transformers writes it. */
export const wav2vec2Conformer: DescribedFamily = speechFamily({
  name: 'wav2vec2-conformer',
  title: 'wav2vec 2 Conformer',
  paper: 'Wang et al., "fairseq S2T: Fast Speech-to-Text Modeling with fairseq" (2020), arXiv:2010.05171',
  modelTypes: ['wav2vec2-conformer'],
  signatures: [
    ['^wav2vec2_conformer.encoder.layers.{n}'],
    ['^feature_extractor.conv_layers.{n}.conv', '^encoder.layers.{n}.self_attn.linear_q'],
  ],
  names: { ...waveformModules, ...conformerModules, ...headModules, ...adapterModules },
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});

/** w2v-BERT 2.0 as transformers writes it: a Conformer on mel filter banks. */
export const wav2vec2Bert: DescribedFamily = speechFamily({
  name: 'wav2vec2-bert',
  title: 'w2v-BERT 2',
  paper:
    'Seamless Communication, "Seamless: Multilingual Expressive and Streaming Speech Translation" (2023), arXiv:2312.05187',
  modelTypes: ['wav2vec2-bert'],
  signatures: [
    ['^wav2vec2_bert.encoder.layers.{n}'],
    ['^encoder.layers.{n}.self_attn.linear_q', '^feature_projection.projection', '!^feature_extractor.conv_layers'],
  ],
  names: {
    ...conformerModules,
    projection: ['feature_projection.projection'],
    ...headModules,
    ...adapterModules,
    'mlp.intermediate': [/(?:.*\.)?(?:intermediate_ffn|adapter\.layers\.\d+\.ffn)\.(?:intermediate|output)_dense/],
    'adapter.attention': [/(?:.*\.)?adapter\.layers\.\d+\.self_attn\.linear_\w+/],
  },
  preprocessors: ['SeamlessM4TFeatureExtractor'],
});

/** AST as transformers writes it: ViT's encoder on a spectrogram; transformers 5 renamed the modules like ViT's. */
export const audioSpectrogramTransformer: DescribedFamily = speechFamily({
  name: 'audio-spectrogram-transformer',
  title: 'AST',
  paper: 'Gong et al., "AST: Audio Spectrogram Transformer" (2021), arXiv:2104.01778',
  modelTypes: ['audio-spectrogram-transformer'],
  signatures: ['encoder.layer', 'layers'].map((layers) => [`^audio_spectrogram_transformer.${layers}.{n}`]),
  names: {
    'patch-embedding': ['embeddings.patch_embeddings.projection'],
    'attention.query': [{ 4: 'encoder.layer.{n}.attention.attention.query', 5: 'layers.{n}.attention.q_proj' }],
    'attention.key': [{ 4: 'encoder.layer.{n}.attention.attention.key', 5: 'layers.{n}.attention.k_proj' }],
    'attention.value': [{ 4: 'encoder.layer.{n}.attention.attention.value', 5: 'layers.{n}.attention.v_proj' }],
    'attention.output': [{ 4: 'encoder.layer.{n}.attention.output.dense', 5: 'layers.{n}.attention.o_proj' }],
    'mlp.up': [{ 4: 'encoder.layer.{n}.intermediate.dense', 5: 'layers.{n}.mlp.fc1' }],
    'mlp.down': [{ 4: 'encoder.layer.{n}.output.dense', 5: 'layers.{n}.mlp.fc2' }],
    classifier: ['^classifier.dense'],
  },
  // The rest of a layer, such as its norms.
  renamed: [{ 4: 'encoder.layer.{n}', 5: 'layers.{n}' }],
  targetsFrom:
    'queries and values: Cappellazzo et al., "Parameter-Efficient Transfer Learning of Audio Spectrogram Transformers" (2023), arXiv:2312.03694, which compares LoRA there',
  tasks: ['audio-classification', 'audio-embedding'],
  preprocessors: ['ASTFeatureExtractor'],
});
