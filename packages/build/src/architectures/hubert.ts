/** @file HuBERT: Hsu et al. 2021, "Self-supervised speech representation learning by masked prediction of hidden units". */

import { speechArchitecture } from './wav2vec2.ts';

export const hubert = speechArchitecture({
  modelType: 'hubert',
  name: 'Hubert',
  own: (c) => ({
    hasFeatureNorm: c.flag('feat_proj_layer_norm', true),
    hasBatchNorm: c.flag('conv_pos_batch_norm', false),
  }),
  isMasked: () => true,
});
