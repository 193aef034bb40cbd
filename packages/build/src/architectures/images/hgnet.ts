/** @file HGNet V2, the backbone of D-FINE: Cui et al. 2021, "Beyond self-supervision", and PaddlePaddle's second version. */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Config } from '../../checkpoint/config.ts';
import { type Activation, activationNamed } from '../../layers/activations.ts';
import { requireLayers } from '../../layers/bounds.ts';
import type { Module } from '../../layers/module.ts';
import { pixelValues } from '../../layers/images/patches.ts';

interface Stage {
  readonly width: number;
  readonly middle: number;
  readonly out: number;
  readonly blocks: number;
  readonly layers: number;
  readonly kernel: number;
  /** Stride of a downsampling layer before the blocks, if any. */
  readonly stride?: number | undefined;
  /** Whether layers are pointwise and depthwise. */
  readonly isLight: boolean;
}

export interface HgnetSizes {
  readonly channels: number;
  readonly stem: readonly [first: number, out: number];
  readonly strides: readonly number[];
  readonly stages: readonly Stage[];
  /** Activation of the stem; relu elsewhere. */
  readonly act: Activation;
  /** Whether a learned factor and addend follow each activation. */
  readonly isAffine: boolean;
}

export function hgnetSizes(c: Config): HgnetSizes {
  c.skip('embedding_size', 'hidden_sizes', 'depths');
  const [channels = 3, first = 32, out = 48] = c.sizes('stem_channels', [3, 32, 48]);
  if (channels !== c.size('num_channels', channels)) throw c.unsupported('num_channels', 'The stem has others.');
  const widths = c.sizes('stage_in_channels', [48, 128, 512, 1024]);
  const list = (name: string, absent: readonly number[]): readonly number[] => same(c, name, c.sizes(name, absent), widths.length); // prettier-ignore
  const flags = (name: string, absent: readonly boolean[]): readonly boolean[] => same(c, name, c.flags(name, absent), widths.length); // prettier-ignore
  const middles = list('stage_mid_channels', [48, 96, 192, 384]);
  const outs = list('stage_out_channels', [128, 512, 1024, 2048]);
  const blocks = list('stage_num_blocks', [1, 1, 3, 1]);
  const layers = list('stage_numb_of_layers', [6, 6, 6, 6]);
  const kernels = list('stage_kernel_size', [3, 3, 5, 5]);
  const shrinks = flags('stage_downsample', [false, true, true, true]);
  const strides = list('stage_downsample_strides', [2, 2, 2, 2]);
  const lights = flags('stage_light_block', [false, false, true, true]);
  return {
    channels,
    stem: [first, out],
    strides: same(c, 'stem_strides', c.sizes('stem_strides', [2, 1, 1, 2, 1]), 5),
    stages: widths.map((width, i) => ({
      width,
      middle: middles[i]!,
      out: outs[i]!,
      blocks: blocks[i]!,
      layers: layers[i]!,
      kernel: kernels[i]!,
      stride: shrinks[i] ? strides[i] : undefined,
      isLight: lights[i]!,
    })),
    act: c.activation('hidden_act', 'relu'),
    isAffine: c.flag('use_learnable_affine_block', false),
  };
}

function same<T>(c: Config, name: string, values: readonly T[], count: number): readonly T[] {
  if (values.length === count) return values;
  throw c.unsupported(name, `${count} values are needed.`);
}

interface Layer {
  readonly out: number;
  readonly kernel: number;
  readonly stride?: number;
  readonly groups?: number;
  /** None for a layer without activation. */
  readonly act?: Activation | undefined;
  readonly isAffine?: boolean;
}

const relu = activationNamed('relu')!;

function convolution(
  m: Module,
  x: Value,
  { out, kernel, stride = 1, groups = 1, act, isAffine = false }: Layer,
): Value {
  const half = Math.floor((kernel - 1) / 2);
  const sizes = { out, kernel: [kernel, kernel], strides: [stride, stride], pads: [half, half], groups, bias: false };
  const normed = m.batchNorm('normalization', m.conv('convolution', x, sizes), 1e-5);
  if (!act) return normed;
  const y = act(m.g, normed);
  return isAffine ? m.g.Add(m.g.Mul(y, m.parameter('lab.scale', [1])), m.parameter('lab.bias', [1])) : y;
}

function stem(m: Module, s: HgnetSizes): Value {
  const { g } = m;
  const [first, out] = s.stem;
  const layer = (name: string, x: Value, width: number, kernel: number, i: number): Value =>
    convolution(m.at(name), x, { out: width, kernel, stride: s.strides[i]!, act: s.act, isAffine: s.isAffine });
  // One row and column more, so that kernels of 2 keep the size.
  const padded = (x: Value): Value => g.Pad(x, [0, 0, 0, 0, 0, 0, 1, 1]);
  const x = padded(layer('stem1', pixelValues(m, { channels: s.channels }), first, 3, 0));
  const narrow = layer('stem2a', x, Math.floor(first / 2), 2, 1);
  const beside = layer('stem2b', padded(narrow), first, 2, 2);
  const pooled = g.emit('MaxPool', [x], { kernel_shape: [2, 2], strides: [1, 1], ceil_mode: 1 });
  return layer('stem4', layer('stem3', g.Concat([pooled, beside], 1), first, 3, 3), out, 1, 4);
}

/** Layers one after another, all of whose maps are squeezed into one. */
function block(m: Module, x: Value, stage: Stage, { isAffine }: HgnetSizes, isResidual: boolean): Value {
  const { g } = m;
  const maps = [x];
  for (const layer of m.list('layers', stage.layers)) {
    const { middle: out, kernel } = stage;
    const pointwise = stage.isLight ? convolution(layer.at('conv1'), maps.at(-1)!, { out, kernel: 1 }) : maps.at(-1)!;
    const [own, groups] = stage.isLight ? [layer.at('conv2'), out] : [layer, 1];
    maps.push(convolution(own, pointwise, { out, kernel, groups, act: relu, isAffine }));
  }
  const one = { kernel: 1, act: relu, isAffine };
  const squeezed = convolution(m.at('aggregation.0'), g.Concat(maps, 1), { out: Math.floor(stage.out / 2), ...one });
  const y = convolution(m.at('aggregation.1'), squeezed, { out: stage.out, ...one });
  return isResidual ? g.Add(y, x) : y;
}

/** The map after each stage: `[batch, width, height, width]`. */
export function hgnetMaps(m: Module, s: HgnetSizes): Value[] {
  let x = stem(m.at('embedder'), s);
  return s.stages.map((stage, i) => {
    const own = m.at(`encoder.stages.${i}`);
    const { stride, width } = stage;
    if (stride !== undefined)
      x = convolution(own.at('downsample'), x, { out: width, kernel: 3, stride, groups: width });
    requireLayers(stage.blocks, m.graph.weights.size);
    for (const [j, each] of own.list('blocks', stage.blocks).entries()) x = block(each, x, stage, s, j > 0);
    return x;
  });
}
