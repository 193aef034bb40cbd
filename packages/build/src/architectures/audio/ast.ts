/** @file AST, the audio spectrogram transformer: Gong et al. 2021. */

import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import { asSequence, withFirstTokens } from '../../layers/images/patches.ts';
import type { Module } from '../../layers/module.ts';
import { vitEncoder, type VitSizes, vitSizes } from '../images/vit.ts';

interface Sizes extends VitSizes {
  /** Patch strides, `[frequency, time]`. */
  readonly strides: readonly [number, number];
}

function sizes(c: Config): Sizes {
  const image = [c.size('num_mel_bins', 128), c.size('max_length', 1024)] as const;
  const side = c.size('patch_size', 16);
  const strides = [c.size('frequency_stride', 10), c.size('time_stride', 10)] as const;
  return { ...vitSizes(c), channels: 1, image, patch: [side, side], strides };
}

function states(m: Module, s: Sizes): Value {
  const { g } = m;
  const [bins, frames] = s.image;
  const input = m.graph.input('input_values', 'float32', ['batch_size', frames, bins]);
  const image = g.Unsqueeze(g.Transpose(input, [0, 2, 1]), [1]);
  const embeddings = m.at('embeddings');
  const map = embeddings.at('patch_embeddings').conv('projection', image, { out: s.hidden, kernel: s.patch, strides: s.strides }); // prettier-ignore
  const tokens = withFirstTokens(embeddings, asSequence(embeddings, map), ['cls_token', 'distillation_token']);
  return vitEncoder(m, tokens, s);
}

function pooled(m: Module, x: Value): Value {
  return m.g.Div(m.g.Add(m.row(x, 0), m.row(x, 1)), 2);
}

export const ast: Architecture = {
  modelType: 'audio-spectrogram-transformer',
  prefix: 'audio_spectrogram_transformer',
  others: /^classifier\./,
  classes: {
    ASTModel: modelClass(sizes, (m, s) => {
      const x = states(m, s);
      m.graph.output('last_hidden_state', x);
      m.graph.output('pooler_output', pooled(m, x));
    }),
    ASTForAudioClassification: classifierClass(
      sizes,
      (m, s) => m.layerNorm('classifier.layernorm', pooled(m, states(m.at('audio_spectrogram_transformer'), s)), s.eps),
      'classifier.dense',
    ),
  },
};
