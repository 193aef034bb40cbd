/** @file A model as layers are found in it: it computes the same, and what nobody changes is written as it was. */

import { describe, expect, test } from 'vitest';
import { formAdapter, sited } from '../../../../test/support/formAdapters.ts';
import { difference, modelOf, runOnce } from '../../../../test/support/graphs.ts';
import { randomFloats, WeightBuilder } from '../../../../test/support/storedWeights.ts';
import { ifModel } from '../../../../test/support/subgraphs.ts';
import { Adapter } from '../adapter/adapter.ts';
import { mergeAdapter } from '../adapter/merging/merge.ts';
import type { Value } from '../graph/builder.ts';
import type { FunctionProto, ModelProto, NodeProto } from '../graph/proto.ts';
import { injectAdapters } from '../lora/inject.ts';
import { inferGraph } from '../ops/inferGraph.ts';
import { Random } from '../runtime/random.ts';
import { type Feeds, float32, tensor } from '../runtime/tensor.ts';
import { findSites } from './sites.ts';
import { expandOperators, fusedFrom, refold, prepareForMatching } from './view.ts';

const random = new Random(16);
const CONTRIB = 'com.microsoft';
const x: Value = { name: 'x', type: 'float32', shape: [2, 3, 4] };
const feeds: Feeds = { x: float32(randomFloats([2, 3, 4], random), [2, 3, 4]) };
type Graphed = ModelProto & { graph: NonNullable<ModelProto['graph']> };

function modelWith(build: (g: WeightBuilder) => Value, input: Value = x): Graphed {
  const g = new WeightBuilder(18, '/');
  const y = build(g);
  return modelOf({ opset: 18, inputs: [input], outputs: [y.name], nodes: g.nodes, initializers: g.initializers }) as Graphed; // prettier-ignore
}

const weight = (g: WeightBuilder, ...dims: number[]): Value => g.floats(randomFloats(dims, random), dims);

/** A fused product, an attention with a packed weight, and a plain layer. */
function fusedModel(): Graphed {
  return modelWith((g) => {
    const product = g.emit('FusedMatMul', [x, weight(g, 4, 4)], { transB: 1 }, CONTRIB);
    Object.assign(g.nodes.at(-1)!, { name: '/fc/FusedMatMul' });
    const attention = g.emit('Attention', [product, weight(g, 4, 12), weight(g, 12)], { num_heads: 2 }, CONTRIB);
    const y = g.MatMul(attention, weight(g, 4, 4));
    Object.assign(g.nodes.at(-1)!, { name: '/out/MatMul' });
    return y;
  });
}

test('a model that hides no layer stays as it is', () => {
  const model = modelWith((g) => g.emit('LayerNormalization', [g.MatMul(x, weight(g, 4, 4)), weight(g, 4)]));
  const view = prepareForMatching(model);
  expect(view.graph).toBe(model.graph);
  expect(refold(view)).toBe(view);
});

describe('fused operators with weights', () => {
  const model = fusedModel();
  const view = prepareForMatching(model);

  test('are taken apart, and compute the same', async () => {
    expect(view.graph.node!.some(({ domain }) => domain === CONTRIB)).toBe(false);
    const [output] = view.graph.output!;
    expect(difference((await runOnce(view, feeds))[output!.name!], (await runOnce(model, feeds))[output!.name!])).toBeLessThan(1e-6); // prettier-ignore
    const types = inferGraph(view);
    const sites = findSites(view.graph, { typeOf: (value) => types.get(value) });
    expect(sites.map(({ kind, weightShape }) => [kind, weightShape.join()])).toEqual(Array.from({ length: 5 }, () => ['linear', '4,4'])); // prettier-ignore
    expect([...new Set(view.graph.node!.flatMap((node) => fusedFrom(node)?.opType ?? []))]).toEqual(['FusedMatMul', 'Attention']); // prettier-ignore
  });

  test('come back exactly where nobody has changed their parts', () => {
    const folded = refold(view);
    expect(folded).toEqual(model);
    folded.graph!.node!.forEach((node, i) => expect(node).toBe(model.graph.node![i]));
    expect(view.graph.node).not.toEqual(model.graph.node);
  });

  test('come back beside an adapter of another layer, and stay apart under one of their own', () => {
    const base = sited(fusedModel());
    const opTypes = (path: string): string[] => {
      const form = { kind: 'linear', weightShape: [4, 4] } as const;
      const own = formAdapter(form);
      const renamed = new Adapter(own.config, new Map([...own.tensors].map(([name, value]) => [name.replace('.fc.', `.${path}.`), value]))); // prettier-ignore
      const plan = base.place(renamed).tunings.map(({ tuning }) => tuning);
      const { model: injected } = injectAdapters(base.model, plan, { types: base.types, mode: 'inference' });
      return refold(injected)
        .graph!.node!.filter(({ domain }) => domain === CONTRIB)
        .map(({ opType }) => opType!);
    };
    expect(opTypes('out')).toEqual(['FusedMatMul', 'Attention']);
    expect(opTypes('fc')).toEqual(['Attention']);
  });

  test('are merged into as they stand', async () => {
    const base = sited(fusedModel());
    const packed = base.sites.filter(({ path }) => path !== 'fc' && path !== 'out');
    const form = { kind: 'linear', weightShape: [4, 4] } as const;
    const tensors = packed.flatMap(({ path }, i) => [...formAdapter(form, { seed: 50 + i }).tensors].map(([name, value]) => [name.replace('.fc.', `.${path}.`), value] as const)); // prettier-ignore
    const adapter = new Adapter(formAdapter(form).config, new Map(tensors));
    const { model: merged, untied } = mergeAdapter(base.model, base.place(adapter));
    expect(untied).toEqual([]);
    expect(merged.graph!.node!.map(({ opType }) => opType)).toEqual(['FusedMatMul', 'Attention', 'MatMul']);
    expect(merged.graph!.initializer).toHaveLength(model.graph.initializer!.length);
    // The fused model with the merged weight computes what its parts do.
    const [output] = merged.graph!.output!;
    const apart = prepareForMatching(merged as Graphed);
    expect(difference((await runOnce(merged, feeds))[output!.name!], (await runOnce(apart, feeds))[output!.name!])).toBeLessThan(1e-5); // prettier-ignore
    expect(difference((await runOnce(merged, feeds))[output!.name!], (await runOnce(base.model, feeds))[output!.name!])).toBeGreaterThan(1e-2); // prettier-ignore
  });
});

describe('queries, keys and values inside a packed weight', () => {
  const [qkv, bias, out] = [[4, 12], [12], [4, 4]].map((dims) => randomFloats(dims, random)) as [Float32Array, Float32Array, Float32Array]; // prettier-ignore
  const column = (values: Float32Array, i: number): Float32Array => values.filter((_, at) => Math.floor((at % 12) / 4) === i); // prettier-ignore
  const layer = (g: WeightBuilder, name: string, input: Value, weights: Float32Array): Value => {
    const scope = g.scope(`/blocks/blocks.0/attn/${name}/`);
    return scope.MatMul(input, g.floats(weights, [4, 4]));
  };

  /** The model with a layer for each, of names as torch's exporter gives them. */
  const separate = modelWith((g) => {
    const [q, k, v] = ['q_proj', 'k_proj', 'v_proj'].map((name, i) => {
      const product = g.Add(layer(g, name, x, column(qkv, i)), g.floats(column(bias, i), [4]));
      return g.Transpose(g.Reshape(product, [2, 3, 2, 2]), [0, 2, 1, 3]);
    }) as [Value, Value, Value];
    const scores = g.Mul(g.MatMul(q, g.Transpose(k, [0, 1, 3, 2])), 1 / Math.sqrt(2));
    const mixed = g.Transpose(g.MatMul(g.Softmax(scores, -1), v), [0, 2, 1, 3]);
    return layer(g, 'proj', g.Reshape(mixed, [2, 3, 4]), out);
  });

  /** The same as an optimizer leaves it, which has named the attention by itself. */
  const packedAs = ({
    weight: name,
    node,
    isReshaped = false,
  }: {
    weight?: string;
    node?: string;
    isReshaped?: boolean;
  }) =>
    modelWith((g) => {
      const inputs = [x, g.floats(qkv, [4, 12], name), g.floats(bias, [12])];
      const value = g.scope('Attention_0').emit('Attention', inputs, { num_heads: 2 }, CONTRIB);
      if (node !== undefined) g.nodes.at(-1)!.name = node;
      // Nothing else tells.
      if (node !== undefined || name !== undefined) return g.scope('last').MatMul(value, g.floats(out, [4, 4]));
      if (!isReshaped) return layer(g, 'proj', value, out);
      return g.Reshape(layer(g, 'proj', g.Reshape(value, [6, 4]), out), [2, 3, 4]);
    });

  test.each([
    ['the layer that reads it', {}],
    ['it, under other names,', {}, { q: 'query_layer', v: 'W_v' }],
    ['that layer behind a Reshape', { isReshaped: true }],
    ['the scope of its node', { node: '/blocks/blocks.0/attn/Attention' }],
    ['the name of the weight', { weight: 'blocks.0.attn.qkv.weight' }],
  ])(
    'are found by %s, and an adapter does what it does to the separate layers',
    async (_, form, names = { q: 'q_proj', v: 'v_proj' }) => {
      const own = formAdapter({ kind: 'linear', weightShape: [4, 4] });
      const pathsAs = (q: string, v: string): string[] => [q, v].map((name) => `blocks.0.attn.${name}`);
      const adapterOf = (paths: string[]): Adapter => {
        const tensors = paths.flatMap((path) => [...own.tensors].map(([name, value]) => [name.replace('.fc.', `.${path}.`), value] as const)); // prettier-ignore
        return new Adapter({ ...own.config, targetModules: paths }, new Map(tensors));
      };
      const [wanted, found] = await Promise.all(
        (
          [
            [separate, pathsAs('q_proj', 'v_proj')],
            [packedAs(form), pathsAs(names.q, names.v)],
          ] as const
        ).map(async ([model, paths]) => {
          const base = sited(model);
          const { model: merged } = mergeAdapter(base.model, base.place(adapterOf(paths)));
          const outputs = async (each: ModelProto) => (await runOnce(each, feeds))[merged.graph!.output![0]!.name!];
          return { base: await outputs(model), merged: await outputs(merged) };
        }),
      );
      expect(difference(found!.base, wanted!.base)).toBeLessThan(1e-6);
      expect(difference(found!.merged, wanted!.merged)).toBeLessThan(1e-5);
      expect(difference(found!.merged, found!.base)).toBeGreaterThan(1e-2);
    },
  );
});

test('parts whose values others read, or that are gone, stay apart', () => {
  const view = prepareForMatching(fusedModel());
  const { graph } = view;
  const inner = graph.node!.find((node) => fusedFrom(node)?.opType === 'Attention')!.output![0]!;
  const reader: NodeProto = { opType: 'Identity', input: [inner], output: ['seen'] };
  const read = refold({ ...view, graph: { ...graph, node: [...graph.node!, reader] } });
  expect(read.graph!.node!.map(({ opType }) => opType)).toContain('FusedMatMul');
  expect(read.graph!.node!.map(({ opType }) => opType)).not.toContain('Attention');
  const shown = refold({ ...view, graph: { ...graph, output: [...graph.output!, { name: inner }] } });
  expect(shown.graph!.node!.map(({ opType }) => opType)).not.toContain('Attention');
  const changed = graph.node!.map((node) => (node.output![0] === inner ? { ...node } : node));
  const replaced = refold({ ...view, graph: { ...graph, node: changed } });
  expect(replaced.graph!.node!.map(({ opType }) => opType)).not.toContain('Attention');
});

test('fused operators without constant weights are left alone, and taken apart only on demand', () => {
  const model = modelWith((g) => g.emit('FusedMatMul', [x, x], { transB: 1 }, CONTRIB));
  expect(prepareForMatching(model).graph).toBe(model.graph);
  const expanded = expandOperators(model, inferGraph(model), () => true);
  expect(expanded.graph.node!.map(({ domain }) => domain ?? '')).not.toContain(CONTRIB);
});

test('in branches, whose values get names of their own', async () => {
  const branch = (g: WeightBuilder, value: Value): Value =>
    g.emit('FusedMatMul', [value, weight(g, 4, 4)], { transB: 1 }, CONTRIB);
  const model = ifModel(branch, branch) as Graphed;
  const view = prepareForMatching(model);
  const sites = findSites(view.graph);
  expect(sites.map(({ weightShape, alsoAt }) => [weightShape.join(), alsoAt.length])).toEqual([['4,4', 1]]);
  for (const choice of [0, 1]) {
    const own = { x: float32(randomFloats([2, 4], random), [2, 4]), wanted: tensor('bool', Uint8Array.of(choice), []) };
    expect(difference((await runOnce(view, own))['y'], (await runOnce(model, own))['y'])).toBeLessThan(1e-6);
    expect(difference((await runOnce(refold(view), own))['y'], (await runOnce(model, own))['y'])).toBe(0);
  }
  const inside = (graph: Graphed['graph']): string[] =>
    graph.node!.at(-1)!.attribute!.flatMap(({ g }) => g!.node!.map(({ opType }) => opType!));
  expect(inside(refold(view).graph!)).toEqual(['FusedMatMul', 'FusedMatMul']);
});

test('functions are inlined, and layers in them found', async () => {
  const body: FunctionProto = {
    name: 'Layer', domain: 'own', opsetImport: [{ domain: '', version: 18 }], input: ['value', 'matrix'], output: ['result'],
    node: [{ name: 'fc/MatMul', opType: 'MatMul', input: ['value', 'matrix'], output: ['result'] }],
  }; // prettier-ignore
  const model = modelWith((g) => {
    const w = weight(g, 4, 4);
    g.nodes.push({ name: '/called', opType: 'Layer', domain: 'own', input: ['x', w.name], output: ['y'] });
    return { name: 'y', type: 'float32', shape: [2, 3, 4] };
  });
  const called = { ...model, functions: [body], opsetImport: [...model.opsetImport!, { domain: 'own', version: 1 }] };
  const view = prepareForMatching(called);
  expect(findSites(view.graph).map(({ kind }) => kind)).toEqual(['linear']);
  expect(difference((await runOnce(view, feeds))['y'], (await runOnce(called, feeds))['y'])).toBe(0);
});
