/** @file HuBERT: Hsu et al. 2021, "Self-supervised speech representation learning by masked prediction of hidden units". */

import type { Architecture } from '../../architecture.ts';
import { speechArchitecture } from './wav2vec2.ts';

export const hubert: Architecture = speechArchitecture({
  modelType: 'hubert',
  name: 'Hubert',
  hasFrames: false,
  own: (c) => ({
    hasFeatureNorm: c.flag('feat_proj_layer_norm', true),
    hasBatchNorm: c.flag('conv_pos_batch_norm', false),
  }),
});
