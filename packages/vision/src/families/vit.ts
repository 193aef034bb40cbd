/** @file The family ViT (Vision Transformer). */

import { type DescribedFamily, queriesAndValues } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';
import { vitLayer, vitModules } from './vitModules.ts';

/** ViT as transformers writes it, with I-JEPA and ViT-MSN, which are the same network. */
export const vit: DescribedFamily = visionFamily({
  name: 'vit',
  title: 'ViT',
  paper:
    'Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale" (2020), arXiv:2010.11929',
  modelTypes: ['vit', 'vit_msn', 'ijepa'],
  signatures: [
    ['^vit.encoder.layer.{n}', '!decoder.decoder_layers.{n}'],
    ['^vit.layers.{n}', '!decoder.decoder_layers.{n}'],
  ],
  names: vitModules,
  renamed: [vitLayer],
  defaultTargets: queriesAndValues,
  targetsFrom:
    'queries and values: Zhu et al., "MeLo: Low-rank Adaptation is Better than Fine-tuning for Medical Image Diagnosis" (2023), arXiv:2311.08236',
  tasks: backboneTasks,
  preprocessors: ['ViTImageProcessor'],
});
