/** @file OFT: rotates a layer's inputs by blocks. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { ByTensor, StepTensor, Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import {
  byBlocks,
  cayley,
  inverse,
  MOST_TERMS,
  neumann,
  refusedGroups,
  skew,
  transposed,
  withRotatedInputs,
} from './rotation.ts';
import { finite, peftModules, trainsWith, whole, wrong } from '../settings.ts';
import { normal, sizeOf, zeros } from '../tensors.ts';

interface Settings {
  readonly coft: boolean;
  readonly eps: number;
  readonly block_share: boolean;
  readonly init_weights: boolean;
  readonly use_cayley_neumann: boolean;
}

const training = { module_dropout: 0, bias: 'none' };

export const oft: Tuner = {
  name: 'oft',
  peftType: 'OFT',
  paper: 'https://arxiv.org/abs/2306.07280',
  description:
    'OFT: rotates the inputs of a layer, block by block, or what an embedding yields; `coft` keeps rotations small',
  kinds: ['linear', 'conv2d', 'embedding'],
  defaults: {
    r: 0,
    oft_block_size: 32,
    ...training,
    fan_in_fan_out: false,
    init_weights: true,
    coft: false,
    eps: 6e-5,
    block_share: false,
    use_cayley_neumann: true,
    num_cayley_neumann_terms: 5,
    ...peftModules,
  },
  refuses: (layer) =>
    // PEFT's forward pass of larger kernels differs from its merge, and from the base before training.
    layer.weightShape.slice(2).some((dim) => dim !== 1) ? 'is a convolution with more than one tap, which PEFT cannot rotate' : refusedGroups(layer), // prettier-ignore
  tune: (layer, settings) => {
    const { block_share: isShared, init_weights: isIdle, ...own } = settings as unknown as Settings;
    const terms = whole(settings, 'num_cayley_neumann_terms');
    if (terms > MOST_TERMS) throw wrong(settings, 'num_cayley_neumann_terms', `at most ${MOST_TERMS}`);
    finite(settings, 'eps');
    const isTable = layer.kind === 'embedding';
    const features = isTable ? layer.out : sizeOf(layer.weightShape) / layer.out;
    const size = blockSize(features, whole(settings, 'r', 0), whole(settings, 'oft_block_size', 0));
    const blocks = features / size;
    const dims = [isShared ? 1 : blocks, (size * (size - 1)) / 2];
    // PEFT's series has the opposite sign of its exact transform, which is (I − Q)(I + Q)⁻¹.
    const rotation = (g: GraphBuilder, weight: Value): Value => {
      const Q = skew(g, own.coft ? constrained(g, weight, own.eps) : weight, size);
      return own.use_cayley_neumann ? neumann(g, Q, size, terms) : cayley(g, g.Neg(Q), size);
    };
    /** R⁻¹: the transpose of a rotation, (RᵀR)⁻¹Rᵀ of the truncated series. */
    const opposite = (g: GraphBuilder, R: Value): Value => {
      const turnedBack = transposed(g, R);
      if (!own.use_cayley_neumann) return turnedBack;
      return g.MatMul(inverse(g, g.MatMul(turnedBack, R), size), turnedBack);
    };
    const name = isTable ? 'oft_embedding_R.weight' : 'oft_R.weight';
    const matrices = (g: GraphBuilder, tensors: ByTensor<Value>): Value => rotation(g, tensors[name]!);
    const rows = (g: GraphBuilder, given: Value, R: Value): Value => byBlocks(g, given, R, blocks);
    const tensors = { [name]: isIdle ? zeros(dims) : normal(dims, 0.1) };
    if (isTable) {
      return {
        tensors,
        apply: (g, { x, forward }, given) => rows(g, forward(x), matrices(g, given)),
        weight: (g, weight, given) => rows(g, weight, matrices(g, given)),
        unmerged: { weight: (g, weight, given) => rows(g, weight, opposite(g, matrices(g, given))) },
      };
    }
    return {
      tensors,
      ...withRotatedInputs(layer, {
        inputs: (g, x, given) => rows(g, x, matrices(g, given)),
        weight: (g, weight, given) => rows(g, weight, transposed(g, matrices(g, given))),
        back: (g, weight, given) => rows(g, weight, transposed(g, opposite(g, matrices(g, given)))),
      }),
    };
  },
  training: (settings) => ({
    ...trainsWith('oft', training).training(settings),
    gradients: ({ modules }) => {
      const { coft, eps } = settings as unknown as Settings;
      if (coft) for (const { tensors } of modules) for (const each of Object.values(tensors)) constrain(each, eps);
    },
  }),
};

/** Block size: the requested one, or the nearest divisor of the features, as in PEFT. */
function blockSize(features: number, r: number, size: number): number {
  if ((r === 0) === (size === 0)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `One of "r" (the number of blocks) and "oft_block_size" of the tuner "oft" must be 0, but they are ${r} and ${size}. Give one of them.`,
    );
  }
  return r === 0 ? nearestDivisor(features, size) : features / nearestDivisor(features, r);
}

function nearestDivisor(features: number, wanted: number): number {
  if (wanted >= features) return features;
  let [lower, higher] = [wanted, wanted];
  while (features % higher !== 0) higher++;
  while (lower > 1 && features % lower !== 0) lower--;
  return wanted - lower <= higher - wanted ? lower : higher;
}

/** COFT's bound on the norm of a block. */
function limitOf(blocks: number, eps: number): number {
  return eps / Math.sqrt(blocks);
}

/** Clips blocks to COFT's bound with a straight-through gradient, as in PEFT. */
function constrained(g: GraphBuilder, weight: Value, eps: number): Value {
  const limit = limitOf(weight.shape![0] as number, eps);
  const own = g.stopGradient(weight);
  const norm = g.Mul(g.ReduceL2(own, [1], true), Math.SQRT2);
  const factor = g.Where(g.LessOrEqual(norm, limit), 1, g.Div(g.scalar(limit), norm));
  return g.Add(weight, g.stopGradient(g.Sub(g.Mul(own, factor), own)));
}

/** Clips the values in place, as PEFT does before each step. */
function constrain({ dims, value }: StepTensor, eps: number): void {
  const [blocks, count] = dims as [number, number];
  const limit = limitOf(blocks, eps);
  for (let block = 0; block < blocks; block++) {
    const own = value.subarray(block * count, (block + 1) * count);
    const norm = Math.SQRT2 * Math.hypot(...own);
    if (norm > limit) own.forEach((each, i) => (own[i] = (each * limit) / norm));
  }
}
