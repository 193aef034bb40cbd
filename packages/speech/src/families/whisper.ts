/** @file The family Whisper. */

import type { DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderDecoderFiles } from './encoderDecoderFiles.ts';
import { speechFamily } from './speechFamily.ts';

/**
 * OpenAI's Whisper of all sizes and its distillations, also with a classifier on its encoder. Exports of the whole model
 * begin at `model.encoder` or `model.decoder`, an encoder's own at `layers`; transformers 4 and 5 use the same names. A lone
 * .onnx file without config.json is recognised by the encoder's two convolutions, which no decoder file holds.
 */
export const whisper: DescribedFamily = speechFamily({
  name: 'whisper',
  title: 'Whisper and Distil-Whisper',
  paper: 'Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022), arXiv:2212.04356',
  modelTypes: ['whisper'],
  signatures: ['^', '^encoder.', '^model.encoder.'].map((encoder) => [
    `${encoder}conv1`,
    `${encoder}conv2`,
    `${encoder}layers.{n}.self_attn.q_proj`,
    `!${encoder}conv3`,
  ]),
  names: {
    'attention.query': ['layers.{n}.self_attn.q_proj'],
    'attention.key': ['layers.{n}.self_attn.k_proj'],
    'attention.value': ['layers.{n}.self_attn.v_proj'],
    'attention.output': ['layers.{n}.self_attn.out_proj'],
    'cross-attention.query': ['layers.{n}.encoder_attn.q_proj'],
    'cross-attention.key': ['layers.{n}.encoder_attn.k_proj'],
    'cross-attention.value': ['layers.{n}.encoder_attn.v_proj'],
    'cross-attention.output': ['layers.{n}.encoder_attn.out_proj'],
    'mlp.up': ['layers.{n}.fc1'],
    'mlp.down': ['layers.{n}.fc2'],
    'convolution.first': ['conv1'],
    'convolution.second': ['conv2'],
    'embedding.token': ['embed_tokens'],
    'embedding.position': ['embed_positions'],
    head: ['proj_out'],
    projector: ['^projector'],
    classifier: ['^classifier'],
  },
  defaultTargets: ['attention.query', 'attention.value', 'cross-attention.query', 'cross-attention.value'],
  targetsFrom:
    'q_proj and v_proj wherever they occur: the example "int8 training for automatic speech recognition" of PEFT\'s documentation, which adapts this model',
  tasks: ['speech-recognition', 'audio-classification', 'audio-embedding'],
  files: encoderDecoderFiles,
  preprocessors: ['WhisperFeatureExtractor'],
});
