/** @file The layers that are found in graphs of every exporter. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { vitModel } from '../../../../test/fixtures/vit.ts';
import { caseFolders } from '../../../../test/support/caseFolders.ts';
import { GraphBuilder, type Value } from '../graph/builder.ts';
import { openOnnx } from '../graph/file/onnxFile.ts';
import { tensorProto } from '../graph/tensorData.ts';
import { inferNode } from '../ops/infer.ts';
import { float32 } from '../runtime/tensor.ts';
import { findSites, type Site } from './sites.ts';
import { prepareForMatching } from './view.ts';

const found = (build: (g: GraphBuilder, x: Value, w: (...dims: number[]) => Value) => Value): Site[] => {
  const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'g/' });
  let salt = 0;
  const w = (...dims: number[]): Value =>
    g.constant(float32(new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(++salt), dims));
  const y = build(g, { name: 'x', type: 'float32', shape: [2, 3, 4] }, w);
  return findSites({ node: g.nodes, initializer: g.initializers, input: [{ name: 'x' }], output: [{ name: y.name }] });
};

describe('kinds', () => {
  test('MatMul and the bias behind it, on either side', () => {
    for (const biasFirst of [true, false]) {
      const [site] = found((g, x, w) => {
        const product = g.MatMul(x, w(4, 5));
        return biasFirst ? g.Add(w(5), product) : g.Add(product, w(5));
      });
      expect(site).toMatchObject({
        kind: 'linear',
        weightShape: [5, 4],
        weight: { layout: 'in-out' },
        output: 'g/Add_1',
      });
      expect(site!.bias?.node.opType).toBe('Add');
    }
  });
  test('an Add that is no bias: another shape, or a product that is read elsewhere', () => {
    expect(found((g, x, w) => g.Add(g.MatMul(x, w(4, 5)), w(3, 5)))[0]).toMatchObject({ output: 'g/MatMul_0' });
    const [site] = found((g, x, w) => {
      const product = g.MatMul(x, w(4, 5));
      return g.Mul(g.Add(product, w(5)), product);
    });
    expect(site!.bias).toBeUndefined();
  });
  test('Gemm in both orientations', () => {
    const gemm = (transB: boolean, ...dims: number[]): Site[] =>
      found((g, x, w) => g.Gemm(g.Reshape(x, [6, 4]), w(...dims), w(5), { transB }));
    expect(gemm(true, 5, 4)[0]).toMatchObject({ weightShape: [5, 4], weight: { layout: 'out-in' } });
    expect(gemm(false, 4, 5)[0]).toMatchObject({ weightShape: [5, 4], weight: { layout: 'in-out' } });
    expect(gemm(true, 5, 4)[0]!.bias?.node.opType).toBe('Gemm');
  });
  test('Conv of one and two dimensions, Gather as embedding', () => {
    expect(found((g, x, w) => g.emit('Conv', [x, w(5, 3, 2)]))[0]).toMatchObject({
      kind: 'conv1d',
      weightShape: [5, 3, 2],
    });
    expect(found((g, x, w) => g.emit('Conv', [g.Unsqueeze(x, [0]), w(5, 2, 1, 1)]))[0]).toMatchObject({
      kind: 'conv2d',
    });
    const ids: Value = { name: 'x', type: 'int64', shape: [2, 3] };
    expect(found((g, _, w) => g.Gather(w(7, 4), ids, 0))[0]).toMatchObject({ kind: 'embedding', weightShape: [7, 4] });
  });
  test('products of two computed values, of two constants, and lookups of constant positions are none', () => {
    expect(found((g, x) => g.MatMul(x, g.Transpose(x, [0, 2, 1])))).toEqual([]);
    expect(found((g, x, w) => g.Add(x, g.MatMul(w(3, 4), w(4, 4))))).toEqual([]);
    expect(found((g, x, w) => g.Add(x, g.Gather(w(7, 4), g.ints([0, 1, 2]), 0)))).toEqual([]);
  });
});

describe('weights that nodes share', () => {
  test('parts of one tensor in one scope are layers of their own', () => {
    const sites = found((g, x) => {
      const values = Float32Array.from({ length: 24 }, (_, i) => i);
      const halves = g.Split(g.constant(float32(values, [4, 6])), [3, 3], 1);
      return g.Add(g.MatMul(x, halves[0]!), g.MatMul(x, halves[1]!));
    });
    expect(sites.map(({ alsoAt }) => alsoAt.length)).toEqual([0, 0]);
  });
  test('a layer that reads an embedding’s table behind one Cast has its own name', () => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: '/' });
    const table: Value = { name: 'embed.weight', type: 'float16', shape: [7, 4] };
    const widened = g.scope('/embed.weight/').Cast(table, 1);
    const states = g.scope('/embed/').Gather(widened, { name: 'ids', type: 'int64', shape: [2] }, 0);
    const y = g.scope('/lm_head/').MatMul(states, g.Transpose(widened, [1, 0]));
    const weight = { name: 'embed.weight', dims: [7, 4], dataType: 10, rawData: new Uint8Array(56) };
    const input = [{ name: 'ids' }];
    const sites = findSites({ node: g.nodes, initializer: [weight], input, output: [{ name: y.name }] });
    expect(sites.map(({ path, kind }) => [path, kind])).toEqual([
      ['embed', 'embedding'],
      ['lm_head', 'linear'],
    ]);
  });
});

describe('names of files that torch has not written', () => {
  const named = (node: string, weight: string): Pick<Site, 'path' | 'pathSource'> => {
    const g = new GraphBuilder({ opset: 17, infer: inferNode, prefix: 'g/' });
    const value = g.constant(float32(new Float32Array(20).fill(1), [4, 5]));
    const y = g.MatMul({ name: 'x', type: 'float32', shape: [3, 4] }, value);
    const [product] = g.nodes as [(typeof g.nodes)[number]];
    const [site] = findSites({
      node: [{ ...product, name: node, input: ['x', weight] }],
      initializer: [{ ...g.initializers[0]!, name: weight }],
      input: [{ name: 'x' }],
      output: [{ name: y.name }],
    });
    return { path: site!.path, pathSource: site!.pathSource };
  };
  test.each([
    // scikit-learn's converter, a file by hand, Keras, PaddlePaddle; torch's own for comparison.
    ['MatMul1', 'coefficient1', 'coefficient1', 'tensor-name'],
    ['', 'dense/kernel', 'dense', 'tensor-name'],
    ['model/Conv_0/MatMul', 'model/Conv_0/MatMul/ReadVariableOp:0', 'model.Conv_0', 'scope-name'],
    ['p2o.MatMul.3', 'linear_0.w_0', 'linear_0', 'tensor-name'],
    ['/fc/MatMul', 'onnx::MatMul_12', 'fc', 'node-name'],
    ['MatMul_7', 'fc.weight', 'fc', 'weight-name'],
    ['MatMul_7', '391', 'MatMul_7', 'value-name'],
    ['scorer', 'W1', 'scorer', 'value-name'],
    ['', '391', 'g/MatMul_0', 'value-name'],
  ])('node %j, weight %j: %s, a %s', (node, weight, path, pathSource) => {
    expect(named(node, weight)).toEqual({ path, pathSource });
  });
});

test('a Vision Transformer of the TorchScript exporter', () => {
  const sites = findSites(vitModel({ hidden: 16, layers: 1, heads: 2, image: 16, patch: 8, classes: 3 }).graph!);
  expect(
    sites.map(({ path, kind, pathSource, weightShape }) => `${path} ${kind} ${weightShape.join('x')} ${pathSource}`),
  ).toMatchInlineSnapshot(`
    [
      "vit.embeddings.patch_embeddings.projection conv2d 16x3x8x8 weight-name",
      "vit.encoder.layer.0.attention.attention.key linear 16x16 node-name",
      "vit.encoder.layer.0.attention.attention.value linear 16x16 node-name",
      "vit.encoder.layer.0.attention.attention.query linear 16x16 node-name",
      "vit.encoder.layer.0.attention.output.dense linear 16x16 node-name",
      "vit.encoder.layer.0.intermediate.dense linear 64x16 node-name",
      "vit.encoder.layer.0.output.dense linear 16x64 node-name",
      "classifier linear 3x16 weight-name",
    ]
  `);
});

describe('cases', () => {
  interface CaseFile {
    readonly adapted: readonly string[];
    readonly modules?: Readonly<Record<string, readonly [readonly (readonly number[] | number)[], string]>>;
  }
  // Sites that no name tells, or that the graph does not hold, are in the lists of the exporters' limits.
  test.each(
    caseFolders().filter(
      ([name, folder]) =>
        /^(vit|deit|esm2|bert|minilm|gpt2|llama|wav2vec2|whisper|lora-(linear|all-linear|bias|regex|rslora))/.test(
          name,
        ) && existsSync(join(folder, 'case.json')),
    ),
  )('%s: every adapted linear layer is found under its path, in its shape', (_, folder) => {
    const { adapted, modules = {} } = JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')) as CaseFile;
    const { graph } = prepareForMatching(openOnnx(join(folder, 'model.onnx')).model);
    const sites = new Map(findSites(graph).map((site) => [site.path, site]));
    for (const path of adapted) {
      const [shape, kind] = modules[path] ?? [];
      if (kind !== 'Linear' || path.includes('contact_head')) continue;
      expect(sites.get(path)?.weightShape, path).toEqual(Array.isArray(shape?.[0]) ? shape[0] : shape);
    }
  });
});

describe('names of biases that an optimizer has kept', () => {
  const paths = (build: (g: GraphBuilder, x: Value, named: (name: string, ...dims: number[]) => Value) => Value) =>
    found((g, x) => {
      let salt = 0;
      const own = (name: string, ...dims: number[]): Value => {
        const value = float32(new Float32Array(dims.reduce((a, b) => a * b, 1)).fill(++salt), dims);
        const known = g.initializers.some((each) => each.name === name);
        if (!known) g.initializers.push(tensorProto(name, value));
        return { name, type: 'float32', shape: dims };
      };
      return build(g, x, own);
    }).map(({ path, pathSource }) => `${pathSource} ${path}`);
  const skip = (g: GraphBuilder, inputs: readonly Value[], own: (name: string, ...dims: number[]) => Value): Value =>
    g.emit('SkipLayerNormalization', [...inputs, own('norm.weight', 4), own('norm.bias', 4), own('a.dense.bias', 4)], {}, 'com.microsoft'); // prettier-ignore

  test('a bias of one layer names it, in a fused norm on either side', () => {
    expect(paths((g, x, own) => skip(g, [g.MatMul(x, own('val_1', 4, 4)), x], own))).toEqual(['bias-name a.dense']);
    expect(paths((g, x, own) => skip(g, [x, g.MatMul(x, own('val_1', 4, 4))], own))).toEqual(['bias-name a.dense']);
    const both = paths((g, x, own) => skip(g, [g.MatMul(x, own('val_1', 4, 4)), g.MatMul(x, own('val_2', 4, 4))], own));
    expect(both.map((each) => each.split(' ')[0])).toEqual(['bias-name', 'scope-name']);
  });

  test('one that layers share, or a norm, names none', () => {
    const shared = paths((g, x, own) => {
      const first = g.Add(g.MatMul(x, own('val_1', 4, 4)), own('q_proj.bias', 4));
      return g.Add(g.MatMul(first, own('val_2', 4, 4)), own('q_proj.bias', 4));
    });
    expect(shared).toHaveLength(2);
    expect(shared.filter((each) => each.startsWith('bias-name'))).toEqual([]);
    const ofNorm = paths((g, x, own) => {
      const normal = g.emit('LayerNormalization', [x, own('norm.weight', 4), own('norm.bias', 4)]);
      return g.Add(g.MatMul(normal, own('val_1', 4, 4)), own('norm.bias', 4));
    });
    expect(ofNorm.map((each) => each.split(' ')[0])).toEqual(['scope-name']);
  });

  test('one of a layer that is computed twice names it', () => {
    const twice = paths((g, x, own) => {
      const layer = (value: Value): Value => g.Add(g.MatMul(value, own('val_1', 4, 4)), own('ffn.bias', 4));
      return layer(g.Relu(layer(x)));
    });
    expect(twice).toEqual(['bias-name ffn']);
  });
});
