/** @file Normalisations behind residual sums against ONNX Runtime's own kernels. */

import { describeExpansions, type Fused, w, x } from '../../../../../test/support/expansion.ts';

const sizes = { batch: 2, seq: 5 };
const input = x('batch', 'seq', 8);
const [skip, gamma, beta, bias] = [input, w(8), w(8), w(8)];

describeExpansions({
  SkipLayerNormalization: { op: 'SkipLayerNormalization', sizes, inputs: [input, skip, gamma, beta] },
  'with epsilon, without beta': { op: 'SkipLayerNormalization', sizes, attributes: { epsilon: 0.25 }, inputs: [input, skip, gamma] },
  'with a bias, and the sum': {
    op: 'SkipLayerNormalization', sizes, inputs: [input, skip, gamma, beta, bias], outputs: [true, false, false, true],
  },
  'skip of one batch': { op: 'SkipLayerNormalization', sizes, inputs: [input, x('seq', 8), gamma, beta] },
  'before opset 17': { op: 'SkipLayerNormalization', sizes, opset: 13, inputs: [input, skip, gamma, beta] },
  SkipSimplifiedLayerNormalization: { op: 'SkipSimplifiedLayerNormalization', sizes, inputs: [input, skip, gamma] },
  'simplified, with a bias, and the sum': {
    op: 'SkipSimplifiedLayerNormalization', sizes, attributes: { epsilon: 0.1 },
    inputs: [input, skip, gamma, bias], outputs: [true, false, false, true],
  },
  SimplifiedLayerNormalization: { op: 'SimplifiedLayerNormalization', domain: '', sizes, inputs: [input, gamma] },
  'simplified over two axes': {
    op: 'SimplifiedLayerNormalization', domain: '', sizes, attributes: { axis: 1, epsilon: 0.1 }, inputs: [x('batch', 3, 8), w(3, 8)],
  },
  RMSNormalization: { op: 'RMSNormalization', domain: '', opset: 23, sizes, attributes: { axis: -2 }, inputs: [x('batch', 3, 8), w(3, 8)] },
} satisfies Record<string, Fused>); // prettier-ignore
