/** @file The encoder-decoder families Whisper and Moonshine. */

import { asInLora, type DescribedFamily, type FamilyFiles } from '@onnx-lora/sdk/plugin';
import { speechFamily } from './speechFamily.ts';

/** optimum's files: an encoder and one to three decoders. */
const encoderDecoderFiles: FamilyFiles = {
  parts: [
    { name: 'encoder_model', prefix: 'model.encoder' },
    {
      name: 'decoder_model',
      // The merged decoder; without a KV cache it is the first.
      alsoNamed: ['decoder_model_merged'],
      idleInputs: /^(?:use_cache_branch$|past_key_values\.)/,
      reads: { encoder_hidden_states: 'last_hidden_state' },
      inputNames: { input_ids: 'decoder_input_ids' },
    },
    { name: 'decoder_with_past_model', onlyServes: true },
    { name: 'decoder_model_merged', onlyServes: true },
  ],
  // Training needs no KV cache.
  outputs: ['logits'],
  // Only these files have a KV cache; a Whisper in one file next to them is the same model.
  arePreferred: true,
};

/**
 * OpenAI's Whisper of all sizes and its distillations, also with a classifier on the encoder. Module paths begin at
 * `model.encoder` or `model.decoder`, in an exported encoder at `layers`; transformers 4 and 5 use the same names. A
 * single .onnx file is recognised by the encoder's two convolutions.
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
    'embedding.output': ['proj_out'],
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

/** Moonshine as transformers writes it: a waveform encoder of any length, and a decoder with rotary positions. */
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
    'embedding.output': ['proj_out'],
  },
  defaultTargets: ['attention.query', 'attention.value', 'cross-attention.query', 'cross-attention.value'],
  targetsFrom: asInLora,
  tasks: ['speech-recognition'],
  files: encoderDecoderFiles,
  preprocessors: ['Wav2Vec2FeatureExtractor'],
});
