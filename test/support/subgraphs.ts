/** @file Models with a layer inside If, Loop or Scan. */

import type { Value } from '../../packages/sdk/src/graph/builder.ts';
import {
  attributeType,
  type GraphProto,
  type ModelProto,
  type ValueInfoProto,
} from '../../packages/sdk/src/graph/proto.ts';
import { modelOf } from './graphs.ts';
import { WeightBuilder } from './storedWeights.ts';

/** Emits the contents of a branch or body, which reads the outer value x. */
export type Body = (g: WeightBuilder, x: Value) => Value;

const x: Value = { name: 'x', type: 'float32', shape: ['batch', 4] };
const wanted: Value = { name: 'wanted', type: 'bool', shape: [] };

function graphOf(g: WeightBuilder, outputs: readonly Value[], input: readonly ValueInfoProto[] = []): GraphProto {
  const ports = outputs.map(({ name, type }): ValueInfoProto => ({ name, type: { tensorType: { elemType: type === 'bool' ? 9 : 1 } } })); // prettier-ignore
  return { name: 'inner', node: g.nodes, initializer: g.initializers, input: [...input], output: ports };
}

function port(name: string, elemType: number, dims: readonly (number | string)[]): ValueInfoProto {
  const dim = dims.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

/** y = wanted ? then(x) : otherwise(x), x `[batch, 4]`. `outer` emits what both branches may capture. */
export function ifModel(
  then: Body,
  otherwise: Body,
  outer: (g: WeightBuilder) => void = () => undefined,
  prefix = '/fc/',
): ModelProto {
  const main = new WeightBuilder(18, 'main/');
  outer(main);
  // As exporters do, both branches use the same names.
  const branch = (body: Body): GraphProto => {
    const g = new WeightBuilder(18, prefix);
    return graphOf(g, [body(g, x)]);
  };
  main.nodes.push({
    name: '/If', opType: 'If', input: ['wanted'], output: ['y'],
    attribute: [
      { name: 'then_branch', type: attributeType.graph, g: branch(then) },
      { name: 'else_branch', type: attributeType.graph, g: branch(otherwise) },
    ],
  }); // prettier-ignore
  return modelOf({
    opset: 18,
    inputs: [x, wanted],
    outputs: ['y'],
    nodes: main.nodes,
    initializers: main.initializers,
  });
}

/** x, given to the body and its result again, three times: y. */
export function loopModel(body: Body): ModelProto {
  const main = new WeightBuilder(18, 'main/');
  const g = new WeightBuilder(18, '/fc/');
  const state: Value = { name: 'state', type: 'float32', shape: ['batch', 4] };
  const next = body(g, state);
  const goesOn = g.Identity({ name: 'condition', type: 'bool', shape: [] });
  const inputs = [port('i', 7, []), port('condition', 9, []), port('state', 1, ['batch', 4])];
  const count = main.ints([3]);
  main.nodes.push({
    name: '/Loop', opType: 'Loop', input: [main.Squeeze(count, [0]).name, '', 'x'], output: ['y'],
    attribute: [{ name: 'body', type: attributeType.graph, g: graphOf(g, [{ ...goesOn, type: 'bool' }, next], inputs) }],
  }); // prettier-ignore
  return modelOf({ opset: 18, inputs: [x], outputs: ['y'], nodes: main.nodes, initializers: main.initializers });
}

/** The body of each row of x: y `[batch, out]`. */
export function scanModel(body: Body): ModelProto {
  const main = new WeightBuilder(18, 'main/');
  const g = new WeightBuilder(18, '/fc/');
  const row: Value = { name: 'row', type: 'float32', shape: [4] };
  const y = g.Squeeze(body(g, g.Unsqueeze(row, [0])), [0]);
  main.nodes.push({
    name: '/Scan', opType: 'Scan', input: ['x'], output: ['y'],
    attribute: [
      { name: 'num_scan_inputs', type: attributeType.int, i: 1 },
      { name: 'body', type: attributeType.graph, g: graphOf(g, [y], [port('row', 1, [4])]) },
    ],
  }); // prettier-ignore
  return modelOf({ opset: 18, inputs: [x], outputs: ['y'], nodes: main.nodes, initializers: main.initializers });
}
