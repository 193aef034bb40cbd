/** @file A rule for an operator that ONNX Runtime computes and the SDK does not know: the inverse of matrices. */

import type { OperatorRule } from '@onnx-lora/sdk/plugin';

/**
 * `com.microsoft:Inverse` of matrices X `[batch, n, n]`. Y = X⁻¹ gives dX = −Yᵀ·dY·Yᵀ.
 *
 * @see Petersen & Pedersen, "The Matrix Cookbook" (2012), equation 124
 */
export const inverse: OperatorRule = {
  domain: 'com.microsoft',
  op: 'Inverse',
  // The output has the type and the shape of the input.
  infer: ({ inputs: [x] }) => [{ type: x?.type, shape: x?.shape }],
  // A function per input, here one: dy is the gradient of the output, y the outputs.
  gradient: [
    ({ g, dy, y }) => {
      const transposed = g.Transpose(y[0]!, [0, 2, 1]);
      return g.Neg(g.MatMul(g.MatMul(transposed, dy), transposed));
    },
  ],
};
