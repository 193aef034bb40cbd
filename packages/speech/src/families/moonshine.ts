/** @file The family Moonshine. */

import { asInLora, type DescribedFamily } from '@onnx-lora/sdk/plugin';
import { encoderDecoderFiles } from './encoderDecoderFiles.ts';
import { speechFamily } from './speechFamily.ts';

/** Moonshine as transformers writes it: an encoder of waveforms of any length, and a decoder of text, with rotary positions. */
export const moonshine: DescribedFamily = speechFamily({
  name: 'moonshine',
  title: 'Moonshine',
  paper:
    'Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024), arXiv:2410.15608',
  modelTypes: ['moonshine'],
  signatures: ['^', '^encoder.', '^model.encoder.'].map((encoder) => [
    `${encoder}conv3`,
    `${encoder}layers.{n}.self_attn.q_proj`,
  ]),
  names: {
    'attention.query': ['layers.{n}.self_attn.q_proj'],
    'attention.key': ['layers.{n}.self_attn.k_proj'],
    'attention.value': ['layers.{n}.self_attn.v_proj'],
    'attention.output': ['layers.{n}.self_attn.o_proj'],
    'cross-attention.query': ['layers.{n}.encoder_attn.q_proj'],
    'cross-attention.key': ['layers.{n}.encoder_attn.k_proj'],
    'cross-attention.value': ['layers.{n}.encoder_attn.v_proj'],
    'cross-attention.output': ['layers.{n}.encoder_attn.o_proj'],
    'mlp.up': ['layers.{n}.mlp.fc1'],
    'mlp.down': ['layers.{n}.mlp.fc2'],
    'convolution.features': ['conv1', 'conv2', 'conv3'],
    'embedding.token': ['embed_tokens'],
    head: ['proj_out'],
  },
  defaultTargets: ['attention.query', 'attention.value', 'cross-attention.query', 'cross-attention.value'],
  targetsFrom: asInLora,
  tasks: ['speech-recognition'],
  files: encoderDecoderFiles,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
