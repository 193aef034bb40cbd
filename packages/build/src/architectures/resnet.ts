/** @file ResNet: He et al. 2015, "Deep residual learning for image recognition". */

import type { Value } from '@onnx-lora/sdk/tasks';
import type { Architecture } from '../architecture.ts';
import type { Config } from '../checkpoint/config.ts';
import type { Activation } from '../layers/activations.ts';
import { batchNorm } from '../layers/batchNorm.ts';
import { type Convolution, type Module } from '../layers/module.ts';
import { pixelValues } from '../layers/patches.ts';

interface Sizes {
  readonly channels: number;
  /** Width before the first stage. */
  readonly stem: number;
  /** Blocks, width and stride of each stage. */
  readonly stages: readonly { readonly depth: number; readonly width: number; readonly stride: number }[];
  /** Whether a block narrows its input for its middle layer. */
  readonly isBottleneck: boolean;
  /** Whether it is the first layer of a bottleneck that has the stride, and not the second. */
  readonly stridesFirst: boolean;
  /** After the stem and after each block; within blocks it is relu. */
  readonly act: Activation;
}

function sizes(c: Config): Sizes {
  c.skip('out_features', 'out_indices', 'stage_names');
  const widths = c.sizes('hidden_sizes', [256, 512, 1024, 2048]);
  const depths = c.sizes('depths', [3, 4, 6, 3]);
  if (widths.length !== depths.length) throw c.unsupported('depths', `There are ${widths.length} stages.`);
  const first = c.flag('downsample_in_first_stage', false) ? 2 : 1;
  return {
    channels: c.size('num_channels', 3),
    stem: c.size('embedding_size', 64),
    stages: widths.map((width, i) => ({ width, depth: depths[i]!, stride: i === 0 ? first : 2 })),
    isBottleneck: c.word('layer_type', ['bottleneck', 'basic'], 'bottleneck') === 'bottleneck',
    stridesFirst: c.flag('downsample_in_bottleneck', false),
    act: c.activation('hidden_act', 'relu'),
  };
}

/** A convolution that keeps the size but for its stride, and its norm. */
function convolution(m: Module, x: Value, out: number, kernel: number, stride: number): Value {
  const half = Math.floor(kernel / 2);
  const options: Convolution = { out, kernel: [kernel, kernel], strides: [stride, stride], pads: [half, half], bias: false };
  return batchNorm(m, 'normalization', m.conv('convolution', x, options));
}

function block(m: Module, x: Value, { width, stride }: { width: number; stride: number }, s: Sizes): Value {
  const { g } = m;
  const narrow = Math.floor(width / 4);
  const bottleneck = [[narrow, 1, s.stridesFirst ? stride : 1], [narrow, 3, s.stridesFirst ? 1 : stride], [width, 1, 1]] as const; // prettier-ignore
  const layers = s.isBottleneck ? bottleneck : ([[width, 3, stride], [width, 3, 1]] as const); // prettier-ignore
  let y = x;
  for (const [i, [out, kernel, step]] of layers.entries()) {
    const normed = convolution(m.at(`layer.${i}`), y, out, kernel, step);
    y = i < layers.length - 1 ? g.Relu(normed) : normed;
  }
  const isSame = Number(x.shape![1]) === width && stride === 1;
  return s.act(g, g.Add(y, isSame ? x : convolution(m.at('shortcut'), x, width, 1, stride)));
}

/** The map after all stages: `[batch, width, height, width]`. */
function states(m: Module, s: Sizes): Value {
  const pixels = pixelValues(m, { channels: s.channels });
  const stem = s.act(m.g, convolution(m.at('embedder.embedder'), pixels, s.stem, 7, 2));
  let x = m.g.emit('MaxPool', [stem], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  for (const [i, stage] of s.stages.entries()) {
    for (const [j, each] of m.list(`encoder.stages.${i}.layers`, stage.depth).entries()) {
      x = block(each, x, { width: stage.width, stride: j === 0 ? stage.stride : 1 }, s);
    }
  }
  return x;
}

export const resnet: Architecture = {
  modelType: 'resnet',
  prefix: 'resnet',
  others: /^classifier\./,
  classes: {
    ResNetModel: (c) => {
      const s = sizes(c);
      return {
        model: (m) => {
          const x = states(m, s);
          m.graph.output('last_hidden_state', x);
          m.graph.output('pooler_output', m.g.ReduceMean(x, [2, 3], true));
        },
      };
    },
    ResNetForImageClassification: (c) => {
      const [s, labels] = [sizes(c), c.labels()];
      return {
        model: (m) => {
          const pooled = m.g.ReduceMean(states(m.at('resnet'), s), [2, 3], false);
          m.graph.output('logits', m.linear('classifier.1', pooled, labels));
        },
      };
    },
  },
};
