/** @file Puts a module path before those of a graph: a part that was exported by itself calls its modules from its own root. */

import type { GraphProto, ModelProto, NodeProto } from '../graph/proto.ts';
import { withSubgraphs, withValueNames } from '../graph/uniqueNames.ts';
import { allGraphs } from '../graph/walk.ts';
import { scopesUnder } from './modulePath.ts';

/**
 * What of `prefix` the modules of a graph lack: all of `model.encoder` where they begin at `layers`, `model` where they
 * begin at `encoder`, nothing where they begin at `model.encoder`.
 */
export function missingPrefix(prefix: string, modulePaths: readonly string[]): string {
  const parts = prefix.split('.');
  for (let from = 0; from < parts.length; from++) {
    const present = parts.slice(from).join('.');
    if (modulePaths.some((path) => path === present || path.startsWith(`${present}.`)))
      return parts.slice(0, from).join('.');
  }
  return prefix;
}

/**
 * The model with its modules under a path, as if it had been exported as a part of the whole: in names of nodes and values
 * (`/layers.0/fc1/MatMul` becomes `/model/encoder/layers.0/fc1/MatMul`), names of weights (`model.encoder.layers.0.fc1.weight`)
 * and the scopes that torch's dynamo exporter writes. Inputs and outputs keep their names.
 */
export function withPathPrefix(
  model: ModelProto & { readonly graph: GraphProto },
  prefix: string,
): ModelProto & { graph: GraphProto } {
  if (prefix === '') return model;
  const scope = `/${prefix.replaceAll('.', '/')}`;
  const { graph, functions } = model;
  const ports = new Set([...(graph.input ?? []), ...(graph.output ?? [])].map(({ name }) => name ?? ''));
  const weights = new Set([...allGraphs(graph)].flatMap(({ initializer = [] }) => initializer.map(({ name }) => name)));
  const value = (name: string): string => {
    if (name === '' || ports.has(name)) return name;
    if (name.startsWith('/')) return `${scope}${name}`;
    // Exporters number weights without a name of their own: `onnx::MatMul_1204`.
    return weights.has(name) && !name.includes('::') ? `${prefix}.${name}` : name;
  };
  const node = (each: NodeProto): NodeProto => ({
    ...each,
    ...(each.name?.startsWith('/') ? { name: `${scope}${each.name}` } : {}),
    ...(each.metadataProps ? { metadataProps: each.metadataProps.map((entry) => scopesUnder(entry, prefix)) } : {}),
  });
  const renamed = (each: GraphProto): GraphProto => {
    const inner = withValueNames(withSubgraphs(each, renamed), value);
    return { ...inner, node: (inner.node ?? []).map(node) };
  };
  return {
    ...model,
    ...(functions ? { functions: functions.map((each) => ({ ...each, node: (each.node ?? []).map(node) })) } : {}),
    graph: renamed(graph),
  };
}
