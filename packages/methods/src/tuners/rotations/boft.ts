/** @file BOFT: rotates a layer's inputs by butterfly factors of blocks, and scales its outputs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { byBlocks, cayley, refusedGroups, transposed, withRotatedInputs } from './rotation.ts';
import { peftModules, trainsWith, whole, wrong } from '../settings.ts';
import { filled, normal, sizeOf, zeros } from '../tensors.ts';

const training = { boft_dropout: 0, bias: 'none' };

export const boft: Tuner = {
  name: 'boft',
  peftType: 'BOFT',
  paper: 'https://arxiv.org/abs/2311.06243',
  description: 'BOFT: rotates the inputs of a layer, block by block, and scales its outputs',
  kinds: ['linear', 'conv2d'],
  defaults: {
    boft_block_size: 4,
    boft_block_num: 0,
    boft_n_butterfly_factor: 1,
    ...training,
    fan_in_fan_out: false,
    init_weights: true,
    ...peftModules,
  },
  refuses: (layer) => {
    const [, , height, width] = layer.weightShape;
    return height === width
      ? refusedGroups(layer)
      : 'is a convolution with filters that are not square, which PEFT cannot rotate';
  },
  tune: (layer, settings, _, saved) => {
    const [wanted, count] = [whole(settings, 'boft_block_size', 0), whole(settings, 'boft_block_num', 0)];
    const features = sizeOf(layer.weightShape) / layer.out;
    const size = wanted === 0 ? features / count : wanted;
    const blocks = features / size;
    if ((wanted === 0) === (count === 0) || !Number.isInteger(blocks) || !Number.isInteger(size)) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `The tuner "boft" divides the ${features} inputs of "${layer.path}" into blocks of one size, and got boft_block_size ${wanted} and boft_block_num ${count}. Give one of the two, a divisor of ${features}, and 0 for the other.`,
      );
    }
    // Without its CUDA extension PEFT makes and saves one factor, whatever the setting.
    const factors = saved?.['boft_R']?.[0] === 1 ? 1 : whole(settings, 'boft_n_butterfly_factor');
    if (factors > 1 && (size % 2 !== 0 || factors > MOST_FACTORS || blocks % 2 ** (factors - 1) !== 0))
      throw wrong(settings, 'boft_n_butterfly_factor', `1, or with blocks of even size such that 2 to its power less 1 divides the ${blocks} blocks of "${layer.path}"`); // prettier-ignore
    const orders = Array.from({ length: factors }, (_, i) => butterfly(features, blocks / 2 ** i, size / 2));
    const isIdle = settings['init_weights'] === true;
    const [R, s] = [[factors, blocks, size, size], layer.kind === 'linear' ? [layer.out, 1] : [1, layer.out]];
    // PEFT has Cayley's transform of −Q, and takes Q's skew part.
    const rotation = (g: GraphBuilder, own: Value, factor: number): Value => {
      const matrices = g.Reshape(factors === 1 ? own : g.Slice(own, [factor], [factor + 1], [0]), [blocks, size, size]);
      return cayley(g, g.Mul(g.Sub(transposed(g, matrices), matrices), 0.5), size);
    };
    /** Rows times a factor P·D·Pᵀ with block-diagonal D, or times its transpose. */
    const step = (g: GraphBuilder, rows: Value, own: Value, factor: number, isTransposed: boolean): Value => {
      const matrices = rotation(g, own, factor);
      const order = orders[factor]!;
      const turn = (each: Value): Value => byBlocks(g, each, isTransposed ? transposed(g, matrices) : matrices, blocks);
      if (factor === 0) return turn(rows);
      const axis = rows.shape!.length - 1;
      return g.Gather(turn(g.Gather(rows, g.ints(inverseOf(order)), axis)), g.ints(order), axis);
    };
    const turnAll = (g: GraphBuilder, rows: Value, own: Value, isTransposed: boolean): Value => {
      const numbers = [...orders.keys()];
      return (isTransposed ? numbers : numbers.toReversed()).reduce((each, i) => step(g, each, own, i, isTransposed), rows); // prettier-ignore
    };
    return {
      tensors: {
        boft_R: isIdle ? zeros(R) : normal(R, 0.1),
        boft_s: isIdle ? filled(s, 1) : { ...filled(s, 1), init: (random) => new Float32Array(layer.out).map(() => 1 + 0.1 * random.normal()) }, // prettier-ignore
      },
      ...withRotatedInputs(layer, {
        inputs: (g, rows, { boft_R }) => turnAll(g, rows, boft_R!, false),
        weight: (g, rows, { boft_R }) => turnAll(g, rows, boft_R!, true),
        back: (g, rows, { boft_R }) => turnAll(g, rows, boft_R!, false),
        scale: (g, { boft_s }) => g.Reshape(boft_s!, [layer.out, 1]),
      }),
    };
  },
  ...trainsWith('boft', training),
};

/** More than log₂ of any number of blocks. */
const MOST_FACTORS = 32;

/** PEFT's order of features: in each of `parts` parts, chunks of `chunk` features, even ones first. */
function butterfly(features: number, parts: number, chunk: number): number[] {
  const size = features / parts;
  const count = size / chunk;
  return Array.from({ length: features }, (_, at) => {
    const [start, inPart] = [at - (at % size), at % size];
    const [place, rest] = [Math.floor(inPart / chunk), inPart % chunk];
    const evens = Math.ceil(count / 2);
    const from = place < evens ? 2 * place : 2 * (place - evens) + 1;
    return start + from * chunk + rest;
  });
}

function inverseOf(order: readonly number[]): number[] {
  const inverse = new Array<number>(order.length);
  order.forEach((from, at) => (inverse[from] = at));
  return inverse;
}
