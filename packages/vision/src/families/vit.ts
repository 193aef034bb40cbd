/** @file The family ViT (Vision Transformer). */

import type { ModelFamily } from '@onnx-lora/sdk';
import { encoderUnder, queryAndValue, vitNames, vitRoles } from './vitModules.ts';

/**
 * ViT as transformers writes it, versions 4 and 5.
 *
 * @see Dosovitskiy et al., "An Image is Worth 16x16 Words" (2020), arXiv:2010.11929
 */
export const vit: ModelFamily = {
  name: 'vit',
  domain: 'vision',
  recognise: ({ config, modulePaths }) =>
    config?.['model_type'] === undefined ? encoderUnder('vit', modulePaths) : config['model_type'] === 'vit',
  roles: vitRoles,
  defaultTargets: queryAndValue,
  generations: [vitNames],
  tasks: ['image-classification'],
};
