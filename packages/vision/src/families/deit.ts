/** @file The family DeiT (data-efficient image Transformer). */

import type { ModelFamily } from '@onnx-lora/sdk';
import { encoderUnder, queryAndValue, vitNames, vitRoles } from './vitModules.ts';

/**
 * DeiT as transformers writes it: ViT's encoder with a distillation token, and one classifier or two.
 *
 * @see Touvron et al., "Training data-efficient image transformers" (2020), arXiv:2012.12877
 */
export const deit: ModelFamily = {
  name: 'deit',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined ? encoderUnder('deit', modulePaths) : config['model_type'] === 'deit',
  roles: { ...vitRoles, classifier: [/classifier/, /cls_classifier/, /distillation_classifier/] },
  defaultTargets: queryAndValue,
  generations: [vitNames],
  tasks: ['image-classification'],
};
