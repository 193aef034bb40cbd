/** @file DeLoRA: trains the directions of a low-rank ΔW, normalised, and one magnitude. */

import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { dropoutOf, finiteOf, peftModules, requireOnly, wholeOf } from '../settings.ts';
import { filled, kaiming, zeros } from '../tensors.ts';

const LEAST = 1e-4;

export const delora: Tuner = {
  name: 'delora',
  peftType: 'DELORA',
  paper: 'https://arxiv.org/abs/2503.18225',
  description: 'DeLoRA: trains the directions of a low-rank change, of unit length, and how far all of them go',
  defaults: {
    r: 8,
    delora_lambda: 15,
    rank_pattern: {},
    lambda_pattern: {},
    module_dropout: 0,
    init_weights: true,
    bias: 'none',
    ...peftModules,
  },
  tune: (layer, settings) => {
    requireOnly(settings, { bias: 'none' });
    const { in: inputs, out } = layer;
    const r = wholeOf(layer, settings, 'r', 'rank_pattern');
    const begun = finiteOf(layer, settings, 'delora_lambda', 'lambda_pattern');
    const first = (): Float32Array => {
      const weight = layer.weight();
      const squares = new Float64Array(inputs);
      weight.forEach((each, i) => { squares[i % inputs]! += each * each; }); // prettier-ignore
      return Float32Array.from(squares, Math.sqrt);
    };
    return {
      tensors: {
        delora_A: kaiming([r, inputs]),
        delora_B: settings['init_weights'] === true ? zeros([out, r]) : kaiming([out, r]),
        delora_lambda: filled([1], begun, 0),
        // Column norms of the base's weight.
        delora_w_norm: { ...zeros([inputs]), role: 'frozen', init: first },
      },
      dropout: dropoutOf(settings, 'module_dropout'),
      factors: (g, { delora_A: A, delora_B: B, delora_lambda: lambda, delora_w_norm: norms }) => {
        const scale = g.Div(g.Div(lambda!, r), g.Mul(lengths(g, A!, 1), lengths(g, B!, 0)));
        return { A: g.Mul(A!, norms!), B: g.Mul(B!, scale) };
      },
    };
  },
};

/** Norms of rows or columns; the bound gives zeros a zero gradient. */
function lengths(g: GraphBuilder, of: Value, axis: 0 | 1): Value {
  return g.Sqrt(g.Max(g.ReduceSumSquare(of, [axis], false), LEAST ** 2));
}
