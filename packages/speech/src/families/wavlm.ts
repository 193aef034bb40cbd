/** @file The family WavLM. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderTasks, speechFamily } from './speechFamily.ts';
import { adapterModules, wav2vec2Modules } from './wav2vec2Modules.ts';

const { 'attention.output': output, 'mlp.up': up, 'mlp.down': down, ...others } = wav2vec2Modules;

/**
 * WavLM as transformers writes it: wav2vec 2.0's network with a gated relative position in attention, which reads the weights
 * of queries, keys, values and output without calling those modules. An exported graph has their products under the
 * attention's own path, so that only what else a layer has is known by name.
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
  tasks: encoderTasks,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
