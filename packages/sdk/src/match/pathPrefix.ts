/** @file Prefixes a graph's module paths: a separately exported part names its modules from its own root. */

import type { GraphProto, ModelProto, NodeProto } from '../graph/proto.ts';
import { withSubgraphs, withValueNames } from '../graph/uniqueNames.ts';
import { allGraphs } from '../graph/walk.ts';
import { scopesUnder } from './modulePath.ts';

/** The part of `prefix` missing from module paths: `model` of `model.encoder` if they begin at `encoder`. */
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
 * Prefixes module paths as if the model had been exported as part of the whole: names of nodes and values
 * (`/layers.0/fc1/MatMul`), of weights (`layers.0.fc1.weight`) and dynamo's scopes. Inputs and outputs keep their
 * names.
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
    // Exporters number anonymous weights: `onnx::MatMul_1204`.
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
