/** @file A part's modules under the path of the part: as if the exporter had seen the whole. */

import { describe, expect, it } from 'vitest';
import type { GraphProto, ModelProto, NodeProto } from '../graph/proto.ts';
import { tensorProto } from '../graph/tensorData.ts';
import { allGraphs } from '../graph/walk.ts';
import { float32 } from '../runtime/tensor.ts';
import { findSites } from './sites.ts';
import { missingPrefix, withPathPrefix } from './pathPrefix.ts';
import { prepareForMatching } from './view.ts';

const weight = (name: string): NonNullable<GraphProto['initializer']>[number] =>
  tensorProto(name, float32([1, 2, 3, 4], [2, 2]));
const product = (name: string, input: string, of: string, output: string, more: NodeProto = {}): NodeProto => ({
  opType: 'MatMul',
  name,
  input: [input, of],
  output: [output],
  ...more,
});
const scopes = (value: string): NodeProto => ({ metadataProps: [{ key: 'pkg.torch.onnx.name_scopes', value }] });

/** One layer for each of the ways in which a path may be told, and one in a branch. */
const model: ModelProto & { graph: GraphProto } = {
  opsetImport: [{ domain: '', version: 17 }],
  graph: {
    input: [{ name: 'x' }, { name: 'yes' }],
    output: [{ name: '/out/Add_output_0' }],
    initializer: ['onnx::MatMul_7', 'layers.1.fc.weight', 'val_3', 'inner'].map(weight),
    node: [
      product('/layers.0/fc/MatMul', 'x', 'onnx::MatMul_7', '/layers.0/fc/MatMul_output_0'),
      product('MatMul_12', '/layers.0/fc/MatMul_output_0', 'layers.1.fc.weight', 'a'),
      product(
        'node_linear_3',
        'a',
        'val_3',
        'linear_3',
        scopes("['', 'layers', 'layers.2', \"layers.2.fc\", 'linear_3']"),
      ),
      {
        opType: 'If',
        name: '/If',
        input: ['yes'],
        output: ['/out/Add_output_0'],
        attribute: ['then_branch', 'else_branch'].map((name) => ({
          name,
          type: 5,
          g: {
            node: [product('/layers.3/fc/MatMul', 'linear_3', 'inner', `/layers.3/${name}`)],
            output: [{ name: `/layers.3/${name}` }],
          },
        })),
      },
    ],
  },
};
const pathsOf = (each: typeof model): string[] => findSites(prepareForMatching(each).graph).map(({ path }) => path);

describe('withPathPrefix', () => {
  it('is before every path, however it is told', () => {
    expect(pathsOf(model)).toEqual([0, 1, 2, 3].map((i) => `layers.${i}.fc`));
    expect(pathsOf(withPathPrefix(model, 'model.encoder'))).toEqual(
      [0, 1, 2, 3].map((i) => `model.encoder.layers.${i}.fc`),
    );
    expect(withPathPrefix(model, '')).toBe(model);
  });

  it('leaves inputs, outputs and names without a path', () => {
    const { graph } = withPathPrefix(model, 'model.encoder');
    expect([...graph.input!, ...graph.output!].map(({ name }) => name)).toEqual(['x', 'yes', '/out/Add_output_0']);
    expect(graph.initializer!.map(({ name }) => name)).toEqual(['onnx::MatMul_7', 'model.encoder.layers.1.fc.weight', 'model.encoder.val_3', 'model.encoder.inner']); // prettier-ignore
    expect(graph.node![1]!.name).toBe('MatMul_12');
    const defined = new Set([...allGraphs(graph)].flatMap(({ node = [], initializer = [], input = [] }) => [...node.flatMap(({ output = [] }) => output), ...[...initializer, ...input].map(({ name }) => name!)])); // prettier-ignore
    const read = [...allGraphs(graph)].flatMap(({ node = [], output = [] }) => [...node.flatMap(({ input = [] }) => input), ...output.map(({ name }) => name!)]); // prettier-ignore
    expect(read.filter((name) => !defined.has(name))).toEqual([]);
  });

  it('is the module of what stands in no scope', () => {
    const root: typeof model = { ...model, graph: { ...model.graph, initializer: [weight('w')], node: [product('n', 'x', 'w', 'y', scopes("['', 'linear']"))] } }; // prettier-ignore
    expect(pathsOf(withPathPrefix(root, 'head'))).toEqual(['head']);
  });
});

describe('missingPath', () => {
  it.each([
    [['layers.0.fc1'], 'model.encoder'],
    [['encoder.layers.0.fc1'], 'model'],
    [['model.encoder.layers.0.fc1', 'proj'], ''],
    [['encoders.0'], 'model.encoder'],
  ])('of %j', (paths, missing) => {
    expect(missingPrefix('model.encoder', paths)).toBe(missing);
  });
});
