/** @file DeiT: Touvron et al. 2020, "Training data-efficient image transformers". */

import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import { vitClassifierSizes, vitModel, vitSizes, vitStates } from './vit.ts';

const tokens = ['cls_token', 'distillation_token'];

export const deit: Architecture = {
  modelType: 'deit',
  prefix: 'deit',
  others: /^(?:deit\.)?pooler\.|classifier\.|^decoder\.|mask_token$/,
  classes: {
    DeiTModel: vitModel((c) => vitSizes(c), tokens),
    DeiTForImageClassification: classifierClass(
      (c) => vitClassifierSizes(c),
      (m, s) => m.row(vitStates(m.at('deit'), s, tokens), 0),
    ),
    DeiTForImageClassificationWithTeacher: modelClass(
      (c) => ({ ...vitClassifierSizes(c), labels: c.labels() }),
      (m, s) => {
        const x = vitStates(m.at('deit'), s, tokens);
        const classes = m.linear('cls_classifier', m.row(x, 0), s.labels);
        const distilled = m.linear('distillation_classifier', m.row(x, 1), s.labels);
        m.graph.output('logits', m.g.Div(m.g.Add(classes, distilled), 2));
        m.graph.output('cls_logits', classes);
        m.graph.output('distillation_logits', distilled);
      },
    ),
  },
};
