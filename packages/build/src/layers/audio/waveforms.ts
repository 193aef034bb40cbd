/** @file Waveforms as sequences: strided convolutions over samples, convolutional positions over frames. */

import { float32 } from '@onnx-lora/sdk';
import { float } from '@onnx-lora/sdk/plugin';
import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../activations.ts';
import type { Module } from '../module.ts';

export interface WaveformSizes {
  readonly hidden: number;
  readonly convolutions: readonly { readonly out: number; readonly kernel: number; readonly stride: number }[];
  readonly convBias: boolean;
  /** `group`: per channel over time, after the first convolution; `layer`: over channels, after each. */
  readonly norm: 'group' | 'layer';
  readonly convAct: Activation;
  readonly positionKernel: number;
  readonly positionGroups: number;
  /** Number of positional convolutions, each with a norm; undefined for the one of wav2vec 2.0. */
  readonly positionLayers?: number;
  /** Batch norm before the positional convolution, in place of weight norm. */
  readonly hasBatchNorm: boolean;
}

const EPSILON = 1e-5;

export function waveformSizes(c: Config): WaveformSizes {
  const widths = c.sizes('conv_dim', [512, 512, 512, 512, 512, 512, 512]);
  const kernels = c.sizes('conv_kernel', [10, 3, 3, 3, 3, 2, 2]);
  const strides = c.sizes('conv_stride', [5, 2, 2, 2, 2, 2, 2]);
  for (const [name, list] of [
    ['conv_kernel', kernels],
    ['conv_stride', strides],
  ] as const) {
    if (list.length !== widths.length) throw c.unsupported(name, `It needs ${widths.length} numbers, as conv_dim has.`);
  }
  c.only('num_feat_extract_layers', widths.length);
  return {
    hidden: c.size('hidden_size', 768),
    convolutions: widths.map((out, i) => ({ out, kernel: kernels[i]!, stride: strides[i]! })),
    convBias: c.flag('conv_bias', false),
    norm: c.word('feat_extract_norm', ['group', 'layer'], 'group'),
    convAct: c.activation('feat_extract_activation', 'gelu'),
    positionKernel: c.size('num_conv_pos_embeddings', 128),
    positionGroups: c.size('num_conv_pos_embedding_groups', 16),
    hasBatchNorm: false,
  };
}

/** Samples `[batch, samples]` → features `[batch, frames, width]`. */
export function convolved(m: Module, samples: Value, s: WaveformSizes): Value {
  const { g } = m;
  const turned = (x: Value): Value => g.Transpose(x, [0, 2, 1]);
  let x = g.Unsqueeze(samples, [1]);
  for (const [i, layer] of m.list('conv_layers', s.convolutions.length).entries()) {
    const { out, kernel, stride } = s.convolutions[i]!;
    x = layer.conv('conv', x, { out, kernel: [kernel], strides: [stride], bias: s.convBias });
    if (s.norm === 'layer') x = turned(layer.layerNorm('layer_norm', turned(x), EPSILON));
    else if (i === 0) x = layer.instanceNorm('layer_norm', x, EPSILON);
    x = s.convAct(g, x);
  }
  return turned(x);
}

/** Mask of real frames, int64 `[batch, frames]`, from the mask of real samples. */
export function realFrames(m: Module, mask: Value, features: Value, { convolutions }: WaveformSizes): Value {
  const { g } = m;
  const whole = (value: number): Value => g.scalar(value, 'int64');
  const lengths = convolutions.reduce(
    (length, { kernel, stride }) => g.Div(g.Add(length, whole(stride - kernel)), whole(stride)),
    g.ReduceSum(mask, [1], true),
  );
  return m.ints(g.Less(g.Unsqueeze(m.range(0, m.sizeOf(features, 1)), [0]), lengths));
}

/** Convolutional positions of x `[batch, frames, hidden]`, to be added. */
export function positionsByConvolution(m: Module, x: Value, s: WaveformSizes): Value {
  const { g } = m;
  const { hidden, positionKernel, positionGroups, positionLayers } = s;
  const turned = (y: Value): Value => g.Transpose(y, [0, 2, 1]);
  if (positionLayers !== undefined) {
    const [ones, zeros] = [1, 0].map((each) => g.constant(float32(new Float32Array(hidden).fill(each), [hidden])));
    for (const layer of m.list('layers', positionLayers)) {
      const y = turned(positionConvolution(layer, turned(x), s));
      x = s.convAct(g, g.emit('LayerNormalization', [y, ones, zeros], { axis: -1, epsilon: float(EPSILON) }));
    }
    return x;
  }
  if (s.hasBatchNorm)
    return turned(s.convAct(g, positionConvolution(m, m.batchNorm('batch_norm', turned(x), EPSILON), s)));
  const weight = normedWeight(m.at('conv'), [hidden, hidden / positionGroups, positionKernel]);
  return turned(s.convAct(g, positionConvolution(m, turned(x), s, weight)));
}

/** Convolution over `[batch, hidden, frames]` that keeps the frames. */
function positionConvolution(m: Module, x: Value, s: WaveformSizes, weight?: Value): Value {
  const { hidden: out, positionKernel: kernel, positionGroups: groups } = s;
  const pads = [Math.floor(kernel / 2)];
  const y = m.conv('conv', x, { out, kernel: [kernel], pads, groups, ...(weight ? { weight } : {}) });
  return kernel % 2 === 0 ? m.g.Slice(y, [0], [-1], [2]) : y;
}

/** Weight norm by kernel place (Salimans and Kingma 2016), under either torch name; the graph holds the product. */
function normedWeight(m: Module, dims: readonly [number, number, number]): Value {
  const [length, direction] = m.has('weight_g')
    ? ['weight_g', 'weight_v'] as const
    : ['parametrizations.weight.original0', 'parametrizations.weight.original1'] as const; // prettier-ignore
  const kernel = dims[2];
  const [lengths, directions] = [m.numbers(length, [1, 1, kernel]), m.numbers(direction, dims)];
  return m.computed('weight', dims, () => {
    const [g, v] = [lengths(), directions()];
    const squares = new Float64Array(kernel);
    for (const [i, each] of v.entries()) squares[i % kernel]! += each * each;
    return v.map((each, i) => (each * g[i % kernel]!) / Math.sqrt(squares[i % kernel]!));
  });
}
