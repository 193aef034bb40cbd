/** @file ResNet: He et al. 2015, "Deep residual learning for image recognition". */

import { requireLayers } from '../../layers/bounds.ts';
import type { Value } from '@onnx-lora/sdk/tasks';
import { type Architecture, classifierClass, modelClass } from '../../architecture.ts';
import type { Config } from '../../checkpoint/config.ts';
import type { Activation } from '../../layers/activations.ts';
import { type Convolution, type Module } from '../../layers/module.ts';
import { pixelValues } from '../../layers/images/patches.ts';

export interface ResnetSizes {
  readonly channels: number;
  readonly stem: number;
  readonly stages: readonly { readonly depth: number; readonly width: number; readonly stride: number }[];
  /** Whether blocks narrow the input for their middle layer. */
  readonly isBottleneck: boolean;
  /** Whether a bottleneck's first layer has the stride, rather than the second. */
  readonly stridesFirst: boolean;
  /** ResNet-D: three convolutions as stem, and shortcuts that shrink by a mean. */
  readonly isDeep: boolean;
  /** After the stem and each block; relu within blocks. */
  readonly act: Activation;
}

export interface ResnetNames {
  readonly stem: readonly [convolution: string, norm: string];
  readonly block: (stage: number, index: number) => string;
  readonly layer: (index: number) => readonly [convolution: string, norm: string];
  readonly shortcut: readonly [convolution: string, norm: string];
}

/** Names of transformers. */
const resnetNames: ResnetNames = {
  stem: ['embedder.embedder.convolution', 'embedder.embedder.normalization'],
  block: (stage, index) => `encoder.stages.${stage}.layers.${index}`,
  layer: (index) => [`layer.${index}.convolution`, `layer.${index}.normalization`],
  shortcut: ['shortcut.convolution', 'shortcut.normalization'],
};

export function resnetSizes(c: Config): ResnetSizes {
  const widths = c.sizes('hidden_sizes', [256, 512, 1024, 2048]);
  const depths = c.sizes('depths', [3, 4, 6, 3]);
  if (widths.length !== depths.length) throw c.unsupported('depths', `There are ${widths.length} stages.`);
  c.skip('downsample_in_bottleneck');
  const isBottleneck = c.word('layer_type', ['bottleneck', 'basic'], 'bottleneck') === 'bottleneck';
  const first = c.flag('downsample_in_first_stage', false) ? 2 : 1;
  return {
    channels: c.size('num_channels', 3),
    stem: c.size('embedding_size', 64),
    stages: widths.map((width, i) => ({ width, depth: depths[i]!, stride: i === 0 ? first : 2 })),
    isBottleneck,
    stridesFirst: isBottleneck && c.flag('downsample_in_bottleneck', false),
    isDeep: false,
    act: c.activation('hidden_act', 'relu'),
  };
}

/** Reads a ResNet-D: He et al. 2018, "Bag of tricks for image classification with convolutional neural networks". */
export function resnetDSizes(c: Config): ResnetSizes {
  return { ...resnetSizes(c), isDeep: true };
}

interface Block {
  readonly isFirst: boolean;
  readonly width: number;
  readonly stride: number;
  readonly names: ResnetNames;
}

/** A convolution with its norm; padded, so that only the stride shrinks the map. */
function convolution(
  m: Module,
  [name, norm]: readonly [string, string],
  x: Value,
  out: number,
  kernel: number,
  stride: number,
): Value {
  const half = Math.floor(kernel / 2);
  const options: Convolution = {
    out,
    kernel: [kernel, kernel],
    strides: [stride, stride],
    pads: [half, half],
    bias: false,
  };
  return m.batchNorm(norm, m.conv(name, x, options), 1e-5);
}

/** A mean over 2 by 2 places, and a convolution. */
function pooledShortcut(m: Module, x: Value, width: number): Value {
  const attributes = { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 };
  const names = ['shortcut.1.convolution', 'shortcut.1.normalization'] as const;
  return convolution(m, names, m.g.emit('AveragePool', [x], attributes), width, 1, 1);
}

function shortcut(m: Module, x: Value, { width, stride, names, isFirst }: Block, s: ResnetSizes): Value {
  const isWide = Number(x.shape![1]) === width;
  if (s.isDeep && (s.isBottleneck ? stride === 2 : isFirst && !isWide)) return pooledShortcut(m, x, width);
  const isSame = s.isDeep && !s.isBottleneck ? !isFirst : isWide && stride === 1;
  return isSame ? x : convolution(m, names.shortcut, x, width, 1, stride);
}

function block(m: Module, x: Value, own: Block, s: ResnetSizes): Value {
  const { g } = m;
  const { width, stride, names } = own;
  const narrow = Math.floor(width / 4);
  const bottleneck = [[narrow, 1, s.stridesFirst ? stride : 1], [narrow, 3, s.stridesFirst ? 1 : stride], [width, 1, 1]] as const; // prettier-ignore
  const layers = s.isBottleneck ? bottleneck : ([[width, 3, stride], [width, 3, 1]] as const); // prettier-ignore
  let y = x;
  for (const [i, [out, kernel, step]] of layers.entries()) {
    const normed = convolution(m, names.layer(i), y, out, kernel, step);
    y = i < layers.length - 1 ? g.Relu(normed) : normed;
  }
  return s.act(g, g.Add(y, shortcut(m, x, own, s)));
}

function stem(m: Module, s: ResnetSizes, names: ResnetNames): Value {
  const pixels = pixelValues(m, { channels: s.channels });
  if (!s.isDeep) return s.act(m.g, convolution(m, names.stem, pixels, s.stem, 7, 2));
  const half = Math.floor(s.stem / 2);
  return [half, half, s.stem].reduce((x, width, i) => {
    const path = `embedder.embedder.${i}`;
    return s.act(m.g, convolution(m.at(path), ['convolution', 'normalization'], x, width, 3, i === 0 ? 2 : 1));
  }, pixels);
}

/** The map after each stage: `[batch, width, height, width]`. */
export function resnetMaps(m: Module, s: ResnetSizes, names: ResnetNames = resnetNames): Value[] {
  const attributes = { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] };
  let x = m.g.emit('MaxPool', [stem(m, s, names)], attributes);
  return s.stages.map(({ width, depth, stride }, i) => {
    requireLayers(depth, m.graph.weights.size);
    for (let j = 0; j < depth; j++)
      x = block(m.at(names.block(i, j)), x, { width, stride: j === 0 ? stride : 1, names, isFirst: j === 0 }, s);
    return x;
  });
}

/** The last map. */
function resnetMap(m: Module, s: ResnetSizes): Value {
  return resnetMaps(m, s).at(-1)!;
}

function sizes(c: Config): ResnetSizes {
  c.skip('out_features', 'out_indices', 'stage_names');
  return resnetSizes(c);
}

export const resnet: Architecture = {
  modelType: 'resnet',
  prefix: 'resnet',
  others: /^classifier\./,
  classes: {
    ResNetModel: modelClass(sizes, (m, s) => {
      const x = resnetMap(m, s);
      m.graph.output('last_hidden_state', x);
      m.graph.output('pooler_output', m.g.ReduceMean(x, [2, 3], true));
    }),
    ResNetForImageClassification: classifierClass(
      sizes,
      (m, s) => m.g.ReduceMean(resnetMap(m.at('resnet'), s), [2, 3], false),
      'classifier.1',
    ),
  },
};
