/** @file The family ViT-MAE (masked autoencoder). */

import { asInLora, type DescribedFamily, queriesAndValues, type RoleNames } from '@onnx-lora/sdk/plugin';
import { backboneTasks, visionFamily } from './visionFamily.ts';
import { vitLayer, vitModules, vitUnder } from './vitModules.ts';

const decoder = 'decoder.decoder_layers.{n}';
const decoderModules: RoleNames = {
  'decoder.query': [{ 4: `${decoder}.attention.attention.query`, 5: `${decoder}.attention.q_proj` }],
  'decoder.key': [{ 4: `${decoder}.attention.attention.key`, 5: `${decoder}.attention.k_proj` }],
  'decoder.value': [{ 4: `${decoder}.attention.attention.value`, 5: `${decoder}.attention.v_proj` }],
  'decoder.output': [{ 4: `${decoder}.attention.output.dense`, 5: `${decoder}.attention.o_proj` }],
  'decoder.mlp': [
    { 4: `${decoder}.intermediate.dense`, 5: `${decoder}.mlp.fc1` },
    { 4: `${decoder}.output.dense`, 5: `${decoder}.mlp.fc2` },
  ],
  'decoder.head': ['decoder.decoder_embed', 'decoder.decoder_pred'],
};

/** ViT-MAE as transformers writes it: ViT's encoder, alone or with the decoder that paints what was masked. */
export const vitMae: DescribedFamily = visionFamily({
  name: 'vit_mae',
  title: 'ViT-MAE',
  paper: 'He et al., "Masked Autoencoders Are Scalable Vision Learners" (2021), arXiv:2111.06377',
  modelTypes: ['vit_mae'],
  signatures: vitUnder('vit').map((list) => [...list, decoder]),
  names: { ...vitModules, ...decoderModules },
  renamed: [vitLayer],
  defaultTargets: queriesAndValues,
  targetsFrom: asInLora,
  tasks: backboneTasks,
  preprocessors: ['ViTImageProcessor'],
});
