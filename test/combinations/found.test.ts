/** @file Draws that broke a law once, each in its smallest form. */

import { expect, it } from 'vitest';
import type { Draw } from './laws.ts';
import { outcomeOf } from './laws.ts';
import type { DrawnMethod } from './methods.ts';
import type { DrawnBlock, DrawnNetwork } from './network.ts';

const block: DrawnBlock = {
  kind: 'linear',
  linear: 'MatMul',
  conv: 'plain',
  attention: 'apart',
  norm: 'none',
  imageNorm: 'none',
  activation: 'none',
};

const plain: Draw = {
  network: {
    start: 'features',
    blocks: [block],
    head: 'linear',
    dialect: 'torchscript',
    optimiser: 'plain',
    storage: 'float32',
    opset: 17,
    batch: 2,
    length: 3,
    width: 8,
    dynamic: false,
    seed: 0,
  },
  method: {
    method: 'lora',
    targets: 1,
    form: 'names',
    r: 2,
    alpha: 4,
    variant: 'plain',
    dropout: 0,
    bias: 'none',
    loraBias: false,
    patterns: 'none',
    saved: 'nothing',
    init: 'default',
    settings: 0,
  },
};

type Found = readonly [
  what: string,
  blocks: readonly Partial<DrawnBlock>[],
  network: Partial<DrawnNetwork>,
  method: Partial<DrawnMethod>,
];

const found: readonly Found[] = [
  ['a Gemm that transposes its input is a layer', [{ linear: 'Gemm transA' }], {}, { targets: 7 }],
  ['so is one that transposes both', [{ linear: 'Gemm transA transB' }], {}, { targets: 7 }],
  [
    'a Linear that an optimiser made a Gemm of `[in, out]` is saved as torch has it',
    [{}],
    { dialect: 'dynamo', optimiser: 'extended' },
    { saved: 'head' },
  ],
  [
    'trained biases beside LoRA keep the shapes of layers, on which the fusion of Reshape depends',
    [{ linear: 'Gemm transB' }, {}],
    {},
    { targets: 3, bias: 'all' },
  ],
  [
    'an optimised file is optimised again',
    [{ kind: 'attention', attention: 'Attention' }],
    { optimiser: 'extended' },
    { form: 'all-linear' },
  ],
  [
    'the packed bias of a fused attention is trained once, as the biases of its layers',
    [{ kind: 'attention', attention: 'Attention' }, {}],
    {},
    { bias: 'all' },
  ],
  [
    'a normalisation whose weight has more dimensions in an optimised file',
    [{ linear: 'weight first' }, { linear: 'weight first', norm: 'layer norm in parts' }],
    { optimiser: 'extended', opset: 13 },
    { saved: 'norms' },
  ],
  [
    'a table that is tied to the output layer keeps its name in the merged file',
    [{}],
    { start: 'tokens', head: 'tied', dialect: 'weights' },
    { targets: 1 },
  ],
  [
    'joined queries, keys and values in 16 bits have the name of their weight',
    [{ kind: 'attention', linear: 'no bias', attention: 'joined' }],
    { dialect: 'weights', storage: 'float16' },
    {},
  ],
];

it.each(found)('%s', async (_, blocks, network, method) => {
  const draw: Draw = {
    network: { ...plain.network, ...network, blocks: blocks.map((each) => ({ ...block, ...each })) },
    method: { ...plain.method, ...method },
  };
  expect(await outcomeOf(draw)).toEqual({ problems: [] });
});
