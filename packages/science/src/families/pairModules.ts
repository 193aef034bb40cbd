/** @file What ESMFold's trunk and the Evoformer do with pairs of residues, under the same names. */

import type { RoleNames } from '@onnx-lora/sdk/plugin';

/** Attention over rows, columns and triangles, and the multiplicative updates of triangles. */
export const pairModules: RoleNames = {
  'attention.query': ['mha.linear_q'],
  'attention.key': ['mha.linear_k'],
  'attention.value': ['mha.linear_v'],
  'attention.gate': ['mha.linear_g'],
  'attention.output': ['mha.linear_o'],
  'attention.pair-bias': ['tri_att_start.linear', 'tri_att_end.linear'],
  'triangle-multiplication': [/(?:.*\.)?tri_mul_(?:in|out)\.linear_(?:[ab]_[pg]|g|z)/],
};
