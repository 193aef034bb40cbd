/** @file BOFT: rotates the inputs of a layer block by block, and scales its outputs. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Tuner } from '@onnx-lora/sdk/plugin';
import type { GraphBuilder, Value } from '@onnx-lora/sdk/tasks';
import { byBlocks, cayley, refusedGroups, transposed, turned } from './rotation.ts';
import { peftModules, trainsWith, whole } from '../settings.ts';
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
  refuses: (layer, { boft_n_butterfly_factor: factors }) => {
    const [, , height, width] = layer.weightShape;
    // Without a CUDA extension PEFT makes one factor of any number of them.
    if (factors !== 1)
      return `would have ${String(factors)} butterfly factors (boft_n_butterfly_factor), and only 1 is known`;
    return height === width
      ? refusedGroups(layer)
      : 'is a convolution with filters that are not square, which PEFT cannot rotate';
  },
  tune: (layer, settings) => {
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
    const isIdle = settings['init_weights'] === true;
    const [R, s] = [[1, blocks, size, size], layer.kind === 'linear' ? [layer.out, 1] : [1, layer.out]];
    // PEFT has the transform of −Q, and takes Q from any matrix.
    const rotation = (g: GraphBuilder, { boft_R: own }: Readonly<Record<string, Value>>): Value => {
      const matrices = g.Reshape(own!, [blocks, size, size]);
      return cayley(g, g.Mul(g.Sub(transposed(g, matrices), matrices), 0.5), size);
    };
    return {
      tensors: {
        boft_R: isIdle ? zeros(R) : normal(R, 0.1),
        boft_s: isIdle ? filled(s, 1) : { ...filled(s, 1), first: (random) => new Float32Array(layer.out).map(() => 1 + 0.1 * random.normal()) }, // prettier-ignore
      },
      ...turned(layer, {
        inputs: (g, rows, tensors) => byBlocks(g, rows, rotation(g, tensors), blocks),
        weight: (g, rows, tensors) => byBlocks(g, rows, transposed(g, rotation(g, tensors)), blocks),
        back: (g, rows, tensors) => byBlocks(g, rows, rotation(g, tensors), blocks),
        scale: (g, { boft_s }) => g.Reshape(boft_s!, [layer.out, 1]),
      }),
    };
  },
  ...trainsWith('boft', training),
};
