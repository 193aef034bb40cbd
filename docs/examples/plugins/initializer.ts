/** @file First values of adapters by a name. */

import { type InitializerFactory, matrix } from '@onnx-lora/sdk/plugin';

/**
 * `--init signs`: A of random signs over √width, a random projection that keeps lengths (Achlioptas 2003), and B of zeros, so
 * that the layer begins with what the base computes.
 */
export const signs: InitializerFactory = {
  name: 'signs',
  create: () => ({
    name: 'signs',
    needs: 'nothing',
    init: ({ r, width, out }, random) => ({
      A: matrix(
        r,
        width,
        Float64Array.from({ length: r * width }, () => Math.sign(random.next() - 0.5) / Math.sqrt(width)),
      ),
      B: matrix(out, r),
    }),
  }),
};
