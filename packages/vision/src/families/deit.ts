/** @file The family DeiT (data-efficient image Transformer). */

import { asInLora, type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';
import { vitLayer, vitModules, vitUnder } from './vitModules.ts';

/** DeiT as transformers writes it: ViT's encoder with a distillation token, and one classifier or two. */
export const deit: DescribedFamily = visionFamily({
  name: 'deit',
  title: 'DeiT',
  paper:
    'Touvron et al., "Training data-efficient image transformers & distillation through attention" (2020), arXiv:2012.12877',
  modelTypes: ['deit'],
  signatures: vitUnder('deit'),
  names: { ...vitModules, classifier: ['^classifier', '^cls_classifier', '^distillation_classifier'] },
  renamed: [vitLayer],
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: backboneTasks,
  preprocessors: ['DeiTImageProcessor'],
});
