/** @file DeiT: Touvron et al. 2020, "Training data-efficient image transformers". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../../architecture.ts';
import { patchEmbedding, pixelValues, withFirstTokens } from '../../layers/images/patches.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Module } from '../../layers/module.ts';
import { vitEncoder, vitPooler, type VitSizes, vitSizes } from './vit.ts';

function states(m: Module, s: VitSizes): Value {
  const embeddings = m.at('embeddings');
  const patches = patchEmbedding(embeddings.at('patch_embeddings'), pixelValues(m, s), s);
  return vitEncoder(m, withFirstTokens(embeddings, patches, ['cls_token', 'distillation_token']), s);
}

function classifierSizes(c: Config): VitSizes & { readonly labels: number } {
  c.skip('pooler_act', 'pooler_output_size');
  return { ...vitSizes(c), labels: c.labels() };
}

export const deit: Architecture = {
  modelType: 'deit',
  prefix: 'deit',
  others: /^(?:deit\.)?pooler\.|classifier\.|^decoder\.|mask_token$/,
  classes: {
    DeiTModel: (c) => {
      const s = vitSizes(c);
      c.skip('pooler_act', 'pooler_output_size');
      return {
        model: (m) => {
          const x = states(m, s);
          m.graph.output('last_hidden_state', x);
          if (m.has('pooler.dense.weight')) m.graph.output('pooler_output', vitPooler(m, c, x, s.hidden));
        },
      };
    },
    DeiTForImageClassification: (c) => {
      const s = classifierSizes(c);
      return {
        model: (m) => m.graph.output('logits', m.linear('classifier', m.row(states(m.at('deit'), s), 0), s.labels)),
      };
    },
    DeiTForImageClassificationWithTeacher: (c) => {
      const s = classifierSizes(c);
      return {
        model: (m) => {
          const x = states(m.at('deit'), s);
          const classes = m.linear('cls_classifier', m.row(x, 0), s.labels);
          const distilled = m.linear('distillation_classifier', m.row(x, 1), s.labels);
          m.graph.output('logits', m.g.Div(m.g.Add(classes, distilled), 2));
          m.graph.output('cls_logits', classes);
          m.graph.output('distillation_logits', distilled);
        },
      };
    },
  },
};
