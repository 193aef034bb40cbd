/** @file Exploded GELUs become one operator that computes the same; what is not quite a GELU stays. */

import { describe, expect, test } from 'vitest';
import { difference, modelFrom, runOnce } from '../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import type { ModelProto } from '../graph/proto.ts';
import { inferNode } from '../ops/infer.ts';
import { float32 } from '../runtime/tensor.ts';
import { almostFused, fuse } from './fusions.ts';

type Build = (g: GraphBuilder, x: Value) => Value | [Value, ...Value[]];

const x: Value = { name: 'x', type: 'float32', shape: [2, 8] };
const feeds = {
  x: float32(
    Float32Array.from({ length: 16 }, (_, i) => (i - 8) / 2.5),
    [2, 8],
  ),
};

function built(build: Build): ModelProto {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'g/' });
  return modelFrom(g, [x], [build(g, x)].flat());
}

const fused = (model: ModelProto): ModelProto => ({ ...model, graph: fuse(model.graph!) });
const ops = (model: ModelProto): string[] => model.graph!.node!.map(({ opType }) => opType!);

/** 1 + erf(x/√2) in the ways that exporters write it. */
const cdf = {
  'x / √2': (g: GraphBuilder, v: Value) => g.Add(g.Erf(g.Div(v, Math.SQRT2)), 1),
  'x · (1/√2)': (g: GraphBuilder, v: Value) => g.Add(g.Erf(g.Mul(v, Math.SQRT1_2)), 1),
  '(1/√2) · x, 1 first': (g: GraphBuilder, v: Value) => g.Add(1, g.Erf(g.emit('Mul', [g.scalar(Math.SQRT1_2), v]))),
};

/** 1 + tanh(√(2/π)·(x + 0.044715·x³)) in the ways that exporters write it. */
const root = Math.sqrt(2 / Math.PI);
const cubes = {
  'x^3': (g: GraphBuilder, v: Value) => g.Pow(v, 3),
  'x · (x · x)': (g: GraphBuilder, v: Value) => g.Mul(v, g.Mul(v, v)),
  'x^2 · x': (g: GraphBuilder, v: Value) => g.Mul(g.Pow(v, 2), v),
};
const tanhs = Object.entries(cubes).flatMap(([name, cube]) => [
  [
    `${name}`,
    (g: GraphBuilder, v: Value) => g.Add(g.Tanh(g.Mul(g.Add(v, g.Mul(cube(g, v), 0.044715)), root)), 1),
  ] as const,
  [
    `${name}, constants first`,
    (g: GraphBuilder, v: Value) =>
      g.Add(1, g.Tanh(g.Mul(root, g.Add(g.emit('Mul', [g.scalar(0.044715), cube(g, v)]), v)))),
  ] as const,
]);

const half = (g: GraphBuilder): Value => g.scalar(0.5);
const orders: Record<string, (g: GraphBuilder, v: Value, c: Value) => Value> = {
  '(x·c)·½': (g, v, c) => g.Mul(g.Mul(v, c), half(g)),
  '½·(x·c)': (g, v, c) => g.Mul(half(g), g.Mul(v, c)),
  '½·(c·x)': (g, v, c) => g.Mul(half(g), g.Mul(c, v)),
  'x·(c·½)': (g, v, c) => g.Mul(v, g.Mul(c, half(g))),
  '(½·c)·x': (g, v, c) => g.Mul(g.Mul(half(g), c), v),
  '(x·½)·c': (g, v, c) => g.Mul(g.Mul(v, half(g)), c),
  'c·(½·x)': (g, v, c) => g.Mul(c, g.Mul(half(g), v)),
};

/** Expects the built nodes to become that operator, with the same results. */
async function expectFused(operator: string, build: (g: GraphBuilder, v: Value) => Value): Promise<void> {
  const before = built((g, v) => g.Neg(build(g, v)));
  const after = fused(before);
  expect(ops(after)).toEqual([operator, 'Neg']);
  const [a, b] = await Promise.all([runOnce(before, feeds), runOnce(after, feeds)]);
  const [name] = Object.keys(a);
  expect(difference(b[name!], a[name!])).toBeLessThan(2e-6);
}

describe.each(Object.entries(cdf))('with %s', (_, c) => {
  test.each(Object.entries(orders))('%s is fused and computes the same', (_order, build) =>
    expectFused('Gelu', (g, v) => build(g, v, c(g, v))),
  );
});

describe.each(tanhs)('of tanh with %s', (_, c) => {
  test.each(Object.entries(orders))('%s is fused and computes the same', (_order, build) =>
    expectFused('FastGelu', (g, v) => build(g, v, c(g, v))),
  );
});

describe('what stays of the form with tanh', () => {
  const form = (g: GraphBuilder, v: Value, argument: Value): Value =>
    g.Mul(g.Mul(v, half(g)), g.Add(g.Tanh(argument), 1));
  const cubic = (g: GraphBuilder, v: Value, by = 0.044715): Value => g.Mul(g.Pow(v, 3), by);
  const stays: Record<string, Build> = {
    'tanh of x itself': (g, v) => form(g, v, v),
    'another factor of the cube': (g, v) => form(g, v, g.Mul(g.Add(v, cubic(g, v, 0.05)), root)),
    'another factor of the sum': (g, v) => form(g, v, g.Mul(g.Add(v, cubic(g, v)), 0.7)),
    'another power': (g, v) => form(g, v, g.Mul(g.Add(v, g.Mul(g.Pow(v, 2), 0.044715)), root)),
    'a product that is no cube': (g, v) => form(g, v, g.Mul(g.Add(v, g.Mul(g.Mul(v, g.Abs(v)), 0.044715)), root)),
    'the cube of another value': (g, v) => form(g, v, g.Mul(g.Add(v, cubic(g, g.Abs(v))), root)),
    'the cube is read elsewhere': (g, v) => {
      const cube = g.Pow(v, 3);
      return g.Add(form(g, v, g.Mul(g.Add(v, g.Mul(cube, 0.044715)), root)), cube);
    },
    'the sum is read elsewhere': (g, v) => {
      const sum = g.Add(v, cubic(g, v));
      return g.Add(form(g, v, g.Mul(sum, root)), sum);
    },
    'the argument is read elsewhere': (g, v) => {
      const argument = g.Mul(g.Add(v, cubic(g, v)), root);
      return g.Add(form(g, v, argument), argument);
    },
  };
  test.each(Object.entries(stays))('%s', (_, build) => {
    const model = built(build);
    expect(fused(model).graph).toBe(model.graph);
  });
});

describe('what stays', () => {
  const gelu = (g: GraphBuilder, v: Value): Value => g.Mul(g.Mul(v, cdf['x / √2'](g, v)), half(g));
  const stays: Record<string, Build> = {
    'the erf is read elsewhere': (g, v) => {
      const erf = g.Erf(g.Div(v, Math.SQRT2));
      return g.Add(g.Mul(g.Mul(v, g.Add(erf, 1)), half(g)), erf);
    },
    'the scaled x is read elsewhere': (g, v) => {
      const z = g.Div(v, Math.SQRT2);
      return g.Add(g.Mul(g.Mul(v, g.Add(g.Erf(z), 1)), half(g)), z);
    },
    'a product is a graph output': (g, v) => {
      const product = g.Mul(v, cdf['x / √2'](g, v));
      return [g.Mul(product, half(g)), product];
    },
    'x·½ is read elsewhere': (g, v) => {
      const scaled = g.Mul(v, half(g));
      return g.Add(g.Mul(scaled, cdf['x / √2'](g, v)), scaled);
    },
    'another constant': (g, v) => g.Mul(g.Mul(v, cdf['x / √2'](g, v)), 0.6),
    'another scale': (g, v) => g.Mul(g.Mul(v, g.Add(g.Erf(g.Div(v, 1.5)), 1)), half(g)),
    'x is divided, not divides': (g, v) =>
      g.Mul(g.Mul(v, g.Add(g.Erf(g.emit('Div', [g.scalar(Math.SQRT2), v])), 1)), half(g)),
    'another value than x is multiplied': (g, v) => g.Mul(g.Mul(g.Abs(v), cdf['x / √2'](g, v)), half(g)),
    'x twice': (g, v) => g.Mul(g.Mul(v, cdf['x / √2'](g, v)), g.Mul(v, half(g))),
    'the ½ twice': (g, v) => g.Mul(g.Mul(cdf['x / √2'](g, v), half(g)), half(g)),
  };
  test.each(Object.entries(stays))('%s', (_, build) => {
    const model = built(build);
    expect(fused(model).graph).toBe(model.graph);
  });

  test('two in a row are both fused, and the output keeps its name', async () => {
    const before = built((g, v) => gelu(g, gelu(g, v)));
    const after = fused(before);
    expect(ops(after)).toEqual(['Gelu', 'Gelu']);
    const [a, b] = await Promise.all([runOnce(before, feeds), runOnce(after, feeds)]);
    const name = before.graph!.output![0]!.name!;
    expect(difference(b[name], a[name])).toBeLessThan(1e-6);
  });
});

describe('what almost matches is explained by the operand that differs', () => {
  const c = cdf['x / √2'];
  const cases: Record<string, readonly [Build, RegExp]> = {
    'another constant': [
      (g, v) => g.Mul(g.Mul(v, c(g, v)), 0.6),
      /^operand 1 of g\/Mul_\d+ \(Mul\) is 0\.6, not 0\.5$/,
    ],
    'another scale': [
      (g, v) => g.Mul(g.Mul(v, g.Add(g.Erf(g.Div(v, 1.5)), 1)), half(g)),
      /^operand 1 of g\/Div_\d+ \(Div\) is 1\.5, not 1\.41421$/,
    ],
    'another value than x is multiplied': [
      (g, v) => g.Mul(g.Mul(g.Abs(v), c(g, v)), half(g)),
      /^operand 0 of g\/Mul_\d+ \(Mul\) is the output of g\/Abs_\d+ \(Abs\), not x$/,
    ],
    'the erf is read elsewhere': [
      (g, v) => {
        const erf = g.Erf(g.Div(v, Math.SQRT2));
        return g.Add(g.Mul(g.Mul(v, g.Add(erf, 1)), half(g)), erf);
      },
      /^operand 0 of g\/Add_\d+ \(Add\) is the output of g\/Erf_\d+ \(Erf\), which other nodes read too$/,
    ],
    'another power': [
      (g, v) => g.Mul(g.Mul(v, half(g)), g.Add(g.Tanh(g.Mul(g.Add(v, g.Mul(g.Pow(v, 4), 0.044715)), root)), 1)),
      /^operand 1 of g\/Pow_\d+ \(Pow\) is 4, not 3$/,
    ],
  };
  test.each(Object.entries(cases))('%s', (name, [build, reason]) => {
    const pattern = name === 'another power' ? 'FastGelu' : 'Gelu';
    expect(almostFused(built(build).graph!)).toEqual([
      { pattern, at: expect.stringMatching(/^g\/Mul_\d+ \(Mul\)$/), reason: expect.stringMatching(reason) },
    ]);
  });

  test('nothing is said of what is fused, nor of products that only begin like a GELU', () => {
    expect(almostFused(built((g, v) => g.Mul(g.Mul(v, c(g, v)), half(g))).graph!)).toEqual([]);
    expect(almostFused(built((g, v) => g.Mul(g.Mul(v, g.Sigmoid(v)), half(g))).graph!)).toEqual([]);
  });
});
