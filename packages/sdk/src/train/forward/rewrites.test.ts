/** @file Rewrites of the forward pass leave what a graph computes as it is. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modelOf, runOnce } from '../../../../../test/support/graphs.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import { attributeType } from '../../graph/proto.ts';
import { inferNode } from '../../ops/infer.ts';
import { Random } from '../../runtime/random.ts';
import { type Feeds, float32, int64, sizeOf, type Tensor } from '../../runtime/tensor.ts';
import { chunkAttention } from './chunkAttention.ts';
import { type ForwardGraph, forwardGraph } from './forwardGraph.ts';
import { forwardRewrites, planMemory } from './index.ts';

const random = new Random(5);

function simplifyForward(graph: ForwardGraph): void {
  for (const rewrite of Object.values(forwardRewrites)) rewrite(graph);
}

function normal(...dims: number[]): Tensor {
  return float32(
    Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
    dims,
  );
}

/** A graph over feeds, as the rewrites take it. */
function graphOf(
  feeds: Feeds,
  build: (g: GraphBuilder, inputs: Readonly<Record<string, Value>>) => Value,
): { graph: ForwardGraph; run: (nodes?: ForwardGraph) => Promise<Tensor> } {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'x/' });
  const inputs = Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims }]) => [name, { name, type, shape: dims }]),
  );
  const y = build(g, inputs);
  const types = new Map([...Object.entries(inputs), ...g.types]);
  const graph = forwardGraph({ nodes: g.nodes, types, initializers: g.initializers, outputs: [y.name], opset: 17 });
  const run = async ({ nodes } = graph): Promise<Tensor> => {
    const initializers = [...g.initializers, ...graph.g.initializers];
    const model = modelOf({ opset: 17, inputs: Object.values(inputs), outputs: [y.name], nodes, initializers });
    return (await runOnce(model, feeds))[y.name]!;
  };
  return { graph, run };
}

function ops({ nodes }: ForwardGraph): string[] {
  return nodes.map(({ opType }) => opType!);
}

function expectClose(actual: Tensor, expected: Tensor): void {
  expect(actual.dims).toEqual(expected.dims);
  const worst = [...(expected.data as Float32Array)].reduce(
    (most, value, i) => Math.max(most, Math.abs(value - (actual.data[i] as number))),
    0,
  );
  expect(worst).toBeLessThan(2e-6);
}

/** The second of two examples is masked entirely. */
const keyMask = int64([1, 1, 0, 1, 1, 0, 0, 0, 0, 0], [2, 5]);

describe('attention with a mask', () => {
  const feeds = { q: normal(2, 3, 4, 8), k: normal(2, 3, 8, 5), v: normal(2, 3, 5, 8), mask: keyMask };

  it('is guarded by its mask instead of a look at every weight', async () => {
    const { graph, run } = graphOf(feeds, (g, { q, k, v, mask }) => {
      const may = g.Expand(g.Unsqueeze(g.Cast(mask!, dataTypeNumber('bool')), [1, 2]), [2, 1, 4, 5]);
      const weights = g.Softmax(g.Add(g.MatMul(q!, k!), g.Where(may, 0, g.scalar(-Infinity))), -1);
      return g.MatMul(g.Where(g.emit('IsNaN', [weights]), g.scalar(0), weights), v!);
    });
    const expected = await run();
    // The masked example yields zeros, not NaN.
    expect((expected.data as Float32Array).subarray(96).every((value) => value === 0)).toBe(true);
    simplifyForward(graph);
    expect(ops(graph)).not.toContain('IsNaN');
    expectClose(await run(), expected);
  });

  it('keeps its guard where a bias is added behind the mask', async () => {
    const { graph, run } = graphOf({ ...feeds, bias: normal(1, 1, 4, 5) }, (g, { q, k, v, mask, bias }) => {
      const may = g.Unsqueeze(g.Cast(mask!, dataTypeNumber('bool')), [1, 2]);
      const scores = g.Add(g.MatMul(q!, k!), g.Where(may, g.scalar(0), g.scalar(-Infinity)));
      const weights = g.Softmax(g.Add(scores, bias!), -1);
      return g.MatMul(g.Where(g.emit('IsNaN', [weights]), g.scalar(0), weights), v!);
    });
    const expected = await run();
    simplifyForward(graph);
    expectClose(await run(), expected);
  });

  it.each([-Infinity, -3.4028234663852886e38])('is masked by adding %f', async (huge) => {
    const visible = { ...feeds, mask: int64([1, 1, 0, 1, 1, 0, 0, 1, 0, 0], [2, 5]) };
    const { graph, run } = graphOf(visible, (g, { q, k, v, mask }) => {
      const hidden = g.Not(g.Cast(mask!, dataTypeNumber('bool')));
      const wide = g.Expand(g.Unsqueeze(hidden, [1, 2]), [2, 1, 4, 5]);
      return g.MatMul(g.Softmax(g.Where(wide, g.scalar(huge), g.MatMul(q!, k!)), -1), v!);
    });
    const expected = await run();
    simplifyForward(graph);
    const scores = graph.nodes.find(({ opType }) => opType === 'Softmax')!.input![0];
    expect(graph.nodes.find(({ output }) => output![0] === scores)!.opType).toBe('Add');
    expectClose(await run(), expected);
  });

  it('stays as it is where the mask differs by query, since a row may be hidden as a whole', () => {
    const { graph } = graphOf(feeds, (g, { q, k, mask }) => {
      const hidden = g.Not(g.Cast(g.Unsqueeze(mask!, [1, 2]), dataTypeNumber('bool')));
      const byQuery = g.Concat([hidden, hidden, hidden, hidden], 2);
      return g.Softmax(g.Where(byQuery, g.scalar(-3.4e38), g.MatMul(q!, k!)), -1);
    });
    simplifyForward(graph);
    const scores = graph.nodes.find(({ opType }) => opType === 'Softmax')!.input![0];
    expect(graph.nodes.find(({ output }) => output![0] === scores)!.opType).toBe('Where');
  });
});

describe('parts of a value', () => {
  it('become one Split where they are all of it', async () => {
    const { graph, run } = graphOf({ x: normal(3, 6) }, (g, { x }) => {
      const [left, right] = [g.Slice(x!, [0], [2], [1]), g.Slice(x!, [2], [2 ** 40], [-1])];
      return g.Concat([g.Neg(right), left], 1);
    });
    const expected = await run();
    simplifyForward(graph);
    expect(ops(graph)).toEqual(['Split', 'Neg', 'Concat']);
    expectClose(await run(), expected);
  });

  it('taken one position each, as of a joint projection, do as well', async () => {
    const { graph, run } = graphOf({ x: normal(3, 2, 4) }, (g, { x }) => {
      const at = (i: number): Value => g.Gather(x!, g.scalar(i, 'int64'), 0);
      return g.Sub(g.Mul(at(2), at(0)), at(-2));
    });
    const expected = await run();
    simplifyForward(graph);
    expect(ops(graph)).not.toContain('Gather');
    expectClose(await run(), expected);
  });

  it('stay where something is left out', () => {
    const { graph } = graphOf({ x: normal(3, 6) }, (g, { x }) =>
      g.Add(g.Slice(x!, [0], [2], [1]), g.Slice(x!, [4], [6], [1])),
    );
    simplifyForward(graph);
    expect(ops(graph)).toEqual(['Slice', 'Slice', 'Add']);
  });
});

describe('what is said twice', () => {
  it('is computed once', async () => {
    const { graph, run } = graphOf({ x: normal(4) }, (g, { x }) => {
      const twice = (): Value => g.Exp(g.emit('Mul', [x!, g.constant(float32([0.5], [1]))]));
      const first = twice();
      return g.Sub(g.Mul(first, 3), twice());
    });
    const expected = await run();
    simplifyForward(graph);
    expect(ops(graph)).toEqual(['Mul', 'Exp', 'Mul', 'Sub']);
    expectClose(await run(), expected);
  });

  it('but attributes make a difference', () => {
    const { graph } = graphOf({ x: normal(2, 2) }, (g, { x }) => g.Add(g.Softmax(x!, 0), g.Softmax(x!, 1)));
    simplifyForward(graph);
    expect(ops(graph)).toEqual(['Softmax', 'Softmax', 'Add']);
  });
});

it('layers that differ in a list of words stay two', () => {
  const { graph } = graphOf({ x: normal(4, 1, 3), w: normal(1, 2, 3), r: normal(1, 2, 2) }, (g, { x, w, r }) => {
    const [one, other] = ['Relu', 'Tanh'].map((word) => {
      const y = g.emit('RNN', [x!, w!, r!], { hidden_size: 2 });
      const strings = [new TextEncoder().encode(word)];
      g.nodes.at(-1)!.attribute!.push({ name: 'activations', type: attributeType.strings, strings });
      return y;
    });
    return g.Sub(one!, other!);
  });
  simplifyForward(graph);
  expect(ops(graph)).toEqual(['RNN', 'RNN', 'Sub']);
});

it('noise is never drawn again', () => {
  const { graph } = graphOf({ x: normal(64, 64) }, (g, { x }) => {
    const noisy = g.Add(g.Tanh(x!), g.emit('RandomNormalLike', [x!]));
    return g.ReduceMean(g.Tanh(g.Tanh(g.Mul(noisy, noisy))), [0, 1], false);
  });
  const { nodes, recomputed } = planMemory(graph, 1);
  const isAgain = (op: string): boolean => nodes.some(({ opType, output }) => opType === op && recomputed.has(output![0]!)); // prettier-ignore
  expect([isAgain('Tanh'), isAgain('RandomNormalLike')]).toEqual([true, false]);
});

describe('attention in parts', () => {
  it('gives what the whole gives, whatever the sizes', async () => {
    const sizes = fc.record({
      batch: fc.integer({ min: 1, max: 3 }),
      heads: fc.integer({ min: 1, max: 4 }),
      queries: fc.integer({ min: 1, max: 12 }),
      keys: fc.integer({ min: 4, max: 12 }),
      limit: fc.integer({ min: 40, max: 1500 }),
      biased: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ batch, heads, queries, keys, limit, biased }) => {
        const feeds = {
          q: normal(batch, heads, queries, 3),
          k: normal(batch, heads, 3, keys),
          v: normal(batch, heads, keys, 2),
          ...(biased ? { bias: normal(batch * heads, queries, keys) } : {}),
        };
        const { graph, run } = graphOf(feeds, (g, { q, k, v, bias }) => {
          const scores = g.Mul(g.MatMul(q!, k!), 0.5);
          const all = bias ? g.Add(scores, g.Reshape(bias, [batch, heads, queries, keys])) : scores;
          return g.MatMul(g.Softmax(all, -1), v!);
        });
        const expected = await run();
        const { inside, follows } = chunkAttention(graph, limit);
        expectClose(await run(), expected);
        const made = graph.nodes.filter(({ opType }) => opType === 'Softmax');
        if (made.length > 1) {
          for (const { output } of made) {
            expect(inside[0]!.has(output![0]!)).toBe(true);
            expect(4 * sizeOf(graph.types.get(output![0]!)!.shape as number[])).toBeLessThanOrEqual(limit);
          }
          expect(follows.size).toBe(made.length - 1);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('follows biases that are made of something smaller, as in SAM', async () => {
    const feeds = { q: normal(2, 12, 3), k: normal(2, 3, 12), v: normal(2, 12, 3), high: normal(2, 4, 3, 4) };
    const { graph, run } = graphOf(feeds, (g, { q, k, v, high }) => {
      const bias = g.Add(g.Unsqueeze(high!, [4]), g.scalar(0.25));
      const wide = g.Expand(bias, [2, 4, 3, 4, 3]);
      return g.MatMul(g.Softmax(g.Add(g.MatMul(q!, k!), g.Reshape(wide, [2, 12, 12])), -1), v!);
    });
    const expected = await run();
    chunkAttention(graph, 700);
    expect(ops(graph).filter((op) => op === 'Softmax')).toHaveLength(2);
    expect(ops(graph).filter((op) => op === 'Expand')).toHaveLength(2);
    expectClose(await run(), expected);
  });
});

describe('attention weights beyond what they may take', () => {
  // Four layers of 54 MB each, and 7 MB of what no part is made of.
  const [LAYERS, LENGTH, SHORT] = [4, 1500, 540];
  const layers = (): ForwardGraph => {
    const types = { q: { dims: [1, 6, LENGTH, 8] }, short: { dims: [1, 6, SHORT, 8] } };
    const feeds = Object.fromEntries(Object.entries(types).map(([name, { dims }]) => [name, normal(...dims)]));
    return graphOf(feeds, (g, { q, short }) => {
      const attention = (x: Value): Value => g.MatMul(g.Softmax(g.MatMul(x, g.Transpose(x, [0, 1, 3, 2])), -1), x);
      let x = q!;
      for (let i = 0; i < LAYERS; i++) x = attention(x);
      return g.Add(g.ReduceMean(x, [2], true), g.ReduceMean(attention(short!), [2], true));
    }).graph;
  };

  it.each([
    ['in the first layers, beside 128 MiB', 'auto', 1, 2],
    ['in fewer of them, where a batch has pieces', 'auto', 6, 1],
    ['in none, where all have room', 'auto', 8, 0],
    ['in all, where a budget leaves them no room', 1e6, 1, 4],
  ] as const)('are computed again %s', (_, memory, pieces, again) => {
    const { nodes, recomputed } = planMemory(layers(), memory, pieces);
    const large = nodes.flatMap(({ opType, output }) => (opType === 'Softmax' && output![0]!.includes('/part') ? [output![0]!] : [])); // prettier-ignore
    const each = large.length / LAYERS;
    expect(large.map((name) => recomputed.has(name))).toEqual(large.map((__, i) => i < again * each));
    if (memory === 'auto') expect([...recomputed].every((name) => name.includes('/part'))).toBe(true);
  });
});

describe('rotary embeddings', () => {
  const WIDTH = 24;
  const x = normal(2, 3, 5, WIDTH);
  const half = (v: Value, g: GraphBuilder, at: 0 | 1): Value => g.Slice(v, [at * (WIDTH / 2)], [(at + 1) * (WIDTH / 2)], [3]); // prettier-ignore
  const turned = (g: GraphBuilder, v: Value): Value => g.Concat([g.Neg(half(v, g, 1)), half(v, g, 0)], 3);
  /** As exporters compute it: the angles twice side by side. */
  const tables = (g: GraphBuilder, angles: Value): Value[] => {
    const both = g.Concat([angles, angles], 2);
    return [g.Unsqueeze(g.Cos(both), [1]), g.Unsqueeze(g.Sin(both), [1])];
  };
  const table = (rows: number): Tensor => {
    const angles = normal(rows, WIDTH / 2).data as Float32Array;
    return float32(Array.from({ length: rows * WIDTH }, (_, i) => angles[Math.floor(i / WIDTH) * (WIDTH / 2) + (i % (WIDTH / 2))]!), [rows, WIDTH]); // prettier-ignore
  };

  it.each([
    ['by tables for all examples', { x, angles: normal(1, 5, WIDTH / 2) }, (g: GraphBuilder, v: Value, cos: Value, sin: Value) => g.Add(g.Mul(v, cos), g.Mul(turned(g, v), sin))],
    ['by tables for each example', { x, angles: normal(2, 5, WIDTH / 2) }, (g: GraphBuilder, v: Value, cos: Value, sin: Value) => g.Add(g.Mul(v, cos), g.Mul(turned(g, v), sin))],
    ['in another order', { x, angles: normal(1, 5, WIDTH / 2) }, (g: GraphBuilder, v: Value, cos: Value, sin: Value) => g.Add(g.Mul(sin, turned(g, v)), g.Mul(cos, v))],
    ['of what is cast to what it is', { x, angles: normal(1, 5, WIDTH / 2) }, (g: GraphBuilder, v: Value, cos: Value, sin: Value) => g.Add(g.Mul(g.Cast(v, 1), cos), g.Mul(turned(g, v), sin))],
  ] as const)('are one operator: %s', async (_, feeds, build) => {
    const { graph, run } = graphOf(feeds, (g, { x: v, angles }) => build(g, v!, ...(tables(g, angles!) as [Value, Value])));
    const before = await run();
    simplifyForward(graph);
    expect(ops(graph)).toContain('RotaryEmbedding');
    expectClose(await run(), before);
  }); // prettier-ignore

  it('stay apart where their angles are trained', () => {
    const { graph } = graphOf({ x, angles: normal(1, 5, WIDTH / 2) }, (g, { x: v, angles }) => {
      const [cos, sin] = tables(g, angles!) as [Value, Value];
      return g.Add(g.Mul(v!, cos), g.Mul(turned(g, v!), sin));
    });
    const { nodes, types, outputs } = graph;
    const opset = 17;
    const fused = forwardGraph({ nodes, types, initializers: [], outputs: [...outputs], opset, wrt: ['x'] });
    const kept = forwardGraph({ nodes, types, initializers: [], outputs: [...outputs], opset, wrt: ['angles'] });
    for (const each of [fused, kept]) simplifyForward(each);
    expect(ops(fused)).toContain('RotaryEmbedding');
    expect(ops(kept)).not.toContain('RotaryEmbedding');
  });

  it('are one operator by rows of a table', async () => {
    const [cos, sin] = [table(9), table(9)];
    const feeds = { x, places: int64([4, 0, 2, 8, 8, 1, 3, 7, 6, 5], [2, 5]) };
    const { graph, run } = graphOf(feeds, (g, { x: v, places }) => {
      const rows = (of: Tensor): Value => g.Unsqueeze(g.Gather(g.constant(of), places!, 0), [1]);
      return g.Add(g.Mul(v!, rows(cos)), g.Mul(turned(g, v!), rows(sin)));
    });
    const before = await run();
    simplifyForward(graph);
    expect(ops(graph)).toContain('RotaryEmbedding');
    expectClose(await run(), before);
  });

  it.each([
    ['whose halves have other angles', (g: GraphBuilder, v: Value) => g.Add(g.Mul(v, g.constant(normal(1, 1, 5, WIDTH))), g.Mul(turned(g, v), g.constant(normal(1, 1, 5, WIDTH))))],
    ['with the other sign', (g: GraphBuilder, v: Value) => { const [cos, sin] = tables(g, g.constant(normal(1, 5, WIDTH / 2))); return g.Add(g.Mul(v, cos!), g.Mul(g.Concat([half(v, g, 1), g.Neg(half(v, g, 0))], 3), sin!)); }],
  ] as const)('stay apart %s', async (_, build) => {
    const { graph, run } = graphOf({ x }, (g, { x: v }) => build(g, v!));
    const before = await run();
    simplifyForward(graph);
    expect(ops(graph)).not.toContain('RotaryEmbedding');
    expectClose(await run(), before);
  }); // prettier-ignore
});
