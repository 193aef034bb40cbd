/** @file Converts a graph to double precision, for finite differences that rounding would drown. */

import type { Feeds } from '@onnx-lora/sdk';
import { type Value, GraphBuilder } from '@onnx-lora/sdk/tasks';
import {
  type NodeProto,
  dataTypeNumber,
  type AttributeProto,
  type GraphProto,
  type ModelProto,
  readTensor,
  tensorProto,
  inferNode,
  inferGraph,
  opsetOf,
} from '@onnx-lora/sdk/plugin';
import { subgraphs, expandOperators } from '@onnx-lora/sdk/core';
import { float64Form } from './float64Forms.ts';

const FLOAT32 = dataTypeNumber('float32');
const FLOAT64 = dataTypeNumber('float64');

/**
 * Converts float32 to float64 where values depend on `inputs`, which are fed as float64. Other values stay, and are
 * cast where they meet these. ONNX Runtime has no float64 kernels for some operators: those of `float64Forms.ts` are
 * decomposed, and for the rest making a session fails.
 * @param feeds the later feeds, for their shapes
 * @returns undefined if values inside a subgraph or of a recurrent operator depend on the inputs, or types are unknown
 */
export function toFloat64(
  model: ModelProto & { readonly graph: GraphProto },
  inputs: ReadonlySet<string>,
  feeds: Feeds,
): (ModelProto & { readonly graph: GraphProto }) | undefined {
  const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { dims }]) => [name, dims]));
  const types = inferGraph(model, { shapes });
  const reached = new Set(inputs);
  const isReached = (node: NodeProto): boolean => (node.input ?? []).some((name) => reached.has(name));
  const { graph } = expandOperators(model, types, (node) => {
    if (!isReached(node)) return false;
    for (const name of node.output ?? []) reached.add(name);
    return true;
  });
  const wide = new Map<string, string>();
  const initializers = new Map((graph.initializer ?? []).map((tensor) => [tensor.name!, tensor]));
  const nodes: NodeProto[] = [];
  const g = new GraphBuilder({ opset: opsetOf(model), infer: inferNode, prefix: 'float64/' });

  /** Casts a float32 value that does not depend on the inputs. */
  const widened = (name: string): string => {
    const found = wide.get(name) ?? `float64/of/${name}`;
    if (wide.has(name)) return found;
    wide.set(name, found);
    const constant = initializers.get(name);
    if (constant) {
      const { dims, data } = readTensor(constant);
      g.initializers.push(tensorProto(found, { type: 'float64', dims, data: Float64Array.from(data as Float32Array) }));
    } else nodes.push({ name: found, opType: 'Cast', input: [name], output: [found], attribute: [castTo] });
    return found;
  };

  const wideValue = (name: string, original: string): Value => {
    const { type, shape } = types.get(original) ?? {};
    return { name, type: type === 'float32' ? 'float64' : type, shape };
  };

  for (const node of graph.node ?? []) {
    if (subgraphs(node).length > 0 && readsReached(node, reached)) return undefined;
    if (!isReached(node)) {
      nodes.push(node);
      continue;
    }
    if (inSinglesOnly.has(node.opType ?? '')) return undefined;
    for (const name of node.output ?? []) reached.add(name);
    const input: string[] = [];
    for (const name of node.input ?? []) {
      if (name && !reached.has(name) && types.get(name)?.type === undefined) return undefined;
      input.push(name && !reached.has(name) && types.get(name)!.type === 'float32' ? widened(name) : name);
    }
    const form = float64Form(node);
    if (form) {
      const first = g.nodes.length;
      const own = input.map((name, i) => (name ? wideValue(name, node.input![i]!) : undefined)); // prettier-ignore
      const made = form(g, node, own, types.get(node.output![0]!)?.shape);
      if (!made) return undefined;
      nodes.push(...g.nodes.slice(first), { opType: 'Identity', input: [made.name], output: [node.output![0]!] });
    } else nodes.push({ ...node, input, attribute: (node.attribute ?? []).map(inFloat64) });
  }
  const port = (info: NonNullable<GraphProto['input']>[number]): typeof info => {
    const { tensorType } = info.type ?? {};
    if (!reached.has(info.name ?? '') || tensorType?.elemType !== FLOAT32) return info;
    return { ...info, type: { ...info.type, tensorType: { ...tensorType, elemType: FLOAT64 } } };
  };
  const { valueInfo: _, ...rest } = graph;
  return {
    ...model,
    graph: {
      ...rest,
      node: nodes,
      initializer: [...(graph.initializer ?? []), ...g.initializers],
      input: (graph.input ?? []).map(port),
      output: (graph.output ?? []).map(port),
    },
  };
}

/** Operators that ONNX Runtime accepts in double precision but cannot compute, failing at the first run. */
const inSinglesOnly: ReadonlySet<string> = new Set(['GRU', 'LSTM', 'RNN']);

const castTo: AttributeProto = { name: 'to', type: 2, i: FLOAT64 };

/** Converts attributes that name the type of the output. */
function inFloat64(attribute: AttributeProto): AttributeProto {
  if (attribute.name === 'to' && Number(attribute.i) === FLOAT32) return castTo;
  if (attribute.name === 'value' && attribute.t?.dataType === FLOAT32) {
    const { dims, data } = readTensor(attribute.t);
    return {
      ...attribute,
      t: tensorProto('', { type: 'float64', dims, data: Float64Array.from(data as Float32Array) }),
    };
  }
  return attribute;
}

function readsReached(node: NodeProto, reached: ReadonlySet<string>): boolean {
  return subgraphs(node).some((graph) =>
    (graph.node ?? []).some(
      (inner) => (inner.input ?? []).some((name) => reached.has(name)) || readsReached(inner, reached),
    ),
  );
}
