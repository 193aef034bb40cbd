/** @file AST: Gong et al. 2021, "AST: audio spectrogram transformer". A spectrum is an image whose patches overlap. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../architecture.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Module } from '../layers/module.ts';
import { asSequence, withFirstTokens } from '../layers/patches.ts';
import { vitEncoder, type VitSizes, vitSizes } from './vit.ts';

/** What config.json says of a spectrogram transformer. */
interface Sizes extends VitSizes {
  /** Frames of a spectrum. */
  readonly frames: number;
  readonly mels: number;
  /** How far patches are apart, in frequency and in time. */
  readonly strides: readonly [number, number];
}

function sizes(c: Config): Sizes {
  return {
    ...vitSizes(c),
    frames: c.size('max_length', 1024),
    mels: c.size('num_mel_bins', 128),
    strides: [c.size('frequency_stride', 10), c.size('time_stride', 10)],
  };
}

/** `[batch, patches + 2, hidden]`, a class token and a token of a teacher first, and the mean of those two. */
function states(m: Module, s: Sizes): { readonly x: Value; readonly pooled: Value } {
  const { g } = m;
  const spectrum = m.graph.input('input_values', 'float32', ['batch_size', s.frames, s.mels]);
  const embeddings = m.at('embeddings');
  const image = g.Unsqueeze(g.Transpose(spectrum, [0, 2, 1]), [1]);
  const cut = { out: s.hidden, kernel: s.patch, strides: s.strides };
  const patches = asSequence(m, embeddings.conv('patch_embeddings.projection', image, cut));
  const x = vitEncoder(m, withFirstTokens(embeddings, patches, ['cls_token', 'distillation_token']), s);
  return { x, pooled: g.Div(g.Add(m.row(x, 0), m.row(x, 1)), 2) };
}

export const ast: Architecture = {
  modelType: 'audio-spectrogram-transformer',
  prefix: 'audio_spectrogram_transformer',
  others: /^classifier\./,
  classes: {
    ASTModel: (c) => {
      const s = sizes(c);
      return {
        model: (m) => {
          const { x, pooled } = states(m, s);
          m.graph.output('last_hidden_state', x);
          m.graph.output('pooler_output', pooled);
        },
      };
    },
    ASTForAudioClassification: (c) => {
      const [s, labels] = [sizes(c), c.labels()];
      return {
        model: (m) => {
          const { pooled } = states(m.at('audio_spectrogram_transformer'), s);
          m.graph.output(
            'logits',
            m.linear('classifier.dense', m.layerNorm('classifier.layernorm', pooled, s.eps), labels),
          );
        },
      };
    },
  },
};
