/** @file Whether ONNX Runtime's products of integers are exact on this processor. */

import { GraphBuilder } from '../../packages/sdk/src/graph/builder.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import { tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { modelFrom, runOnce } from './graphs.ts';

const g = new GraphBuilder({ opset: 18, infer: inferNode, prefix: '' });
const x = { name: 'x', type: 'uint8', shape: [1, 64] } as const;
const w = { name: 'w', type: 'int8', shape: [64, 16] } as const;
const product = g.emit('MatMulInteger', [x, w]);
const feeds = {
  x: tensor('uint8', new Uint8Array(64).fill(255), x.shape),
  w: tensor('int8', new Int8Array(64 * 16).fill(127), w.shape),
};
const found = (await runOnce(modelFrom(g, [x, w], [product]), feeds))[product.name]!.data[0];

/**
 * x86 processors without VNNI add two products of uint8 and int8 in 16 bits, and cut the sum off: such a model computes
 * something else there, in any ONNX Runtime. Weights of 7 bits (`reduce_range` of its quantiser) are what helps.
 */
export const integersAreExact: boolean = found === 64 * 255 * 127;

/** How far a result may be off, of a layer that computes with integers if its tolerance says so (0.06). */
export function integerTolerance(tolerance: number): number {
  return integersAreExact || tolerance < 0.06 ? tolerance : 0.6;
}
