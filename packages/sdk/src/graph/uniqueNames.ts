/** @file Makes value names unique across the subgraphs of a model. */

import type { AttributeProto, GraphProto, NodeProto } from './proto.ts';
import { allGraphs, subgraphs } from './walk.ts';

/** Renames values of subgraphs that share a name with others, as in a merged decoder's branches. Keeps node names. */
export function uniqueNames(graph: GraphProto): GraphProto {
  if (!(graph.node ?? []).some((node) => subgraphs(node).length > 0)) return graph;
  const taken = new Set(definedNames(graph));
  return withSubgraphs(graph, (inner) => renamed(inner, new Map(), taken));
}

/** Renames the graph's own values in `taken`, and adds the new names. @param given chosen new names, even if taken */
export function freshNames(
  graph: GraphProto,
  taken: Set<string>,
  given: ReadonlyMap<string, string> = new Map(),
): GraphProto {
  return renamed(graph, new Map(), taken, given);
}

function definedNames({ input = [], initializer = [], sparseInitializer = [], node = [] }: GraphProto): string[] {
  const sparse = sparseInitializer.map(({ values }) => values?.name ?? '');
  const names = [...[...input, ...initializer].map(({ name }) => name ?? ''), ...sparse];
  return [...names, ...node.flatMap(({ output }) => output ?? [])].filter(Boolean);
}

/** @param outer new names of captured values */
function renamed(
  graph: GraphProto,
  outer: ReadonlyMap<string, string>,
  taken: Set<string>,
  given: ReadonlyMap<string, string> = new Map(),
): GraphProto {
  const names = new Map([...outer, ...given]);
  for (const name of definedNames(graph)) {
    if (given.has(name)) continue;
    let free = name;
    for (let number = 1; taken.has(free); number++) free = `${name}~${number}`;
    taken.add(free);
    if (free === name) names.delete(name);
    else names.set(name, free);
  }
  const inner = withSubgraphs(graph, (each) => renamed(each, names, taken));
  return withValueNames(inner, (name) => names.get(name) ?? name);
}

/** Renames every value that the graph defines or reads, except in subgraphs. */
export function withValueNames(graph: GraphProto, rename: (name: string) => string): GraphProto {
  const named = <T extends { name?: string }>(each: T): T => ({ ...each, name: rename(each.name ?? '') });
  const { sparseInitializer } = graph;
  const sparse = sparseInitializer?.map((each) => (each.values ? { ...each, values: named(each.values) } : each));
  return {
    ...graph,
    input: (graph.input ?? []).map(named),
    output: (graph.output ?? []).map(named),
    valueInfo: (graph.valueInfo ?? []).map(named),
    initializer: (graph.initializer ?? []).map(named),
    ...(sparse ? { sparseInitializer: sparse } : {}),
    node: (graph.node ?? []).map((node) => ({
      ...node,
      input: (node.input ?? []).map(rename),
      output: (node.output ?? []).map(rename),
    })),
  };
}

/** Replaces the subgraphs of all nodes; nodes without any stay the same objects. */
export function withSubgraphs(graph: GraphProto, replace: (inner: GraphProto) => GraphProto): GraphProto {
  return { ...graph, node: (graph.node ?? []).map((node) => withInner(node, replace)) };
}

/** Replaces the subgraphs of a node; returns the same object if nothing changes. */
export function withInner(node: NodeProto, replace: (inner: GraphProto) => GraphProto): NodeProto {
  if (subgraphs(node).length === 0) return node;
  let isSame = true;
  const swap = (inner: GraphProto): GraphProto => {
    const after = replace(inner);
    if (after !== inner) isSame = false;
    return after;
  };
  const attribute = (node.attribute ?? []).map((each): AttributeProto => ({
    ...each,
    ...(each.g ? { g: swap(each.g) } : {}),
    ...(each.graphs ? { graphs: each.graphs.map(swap) } : {}),
  }));
  return isSame ? node : { ...node, attribute };
}

/** A prefix without names in the graph and its subgraphs: `word`, with a number if it is taken. */
export function freePrefix(graph: GraphProto, word: string): string {
  const taken = new Set(
    [...allGraphs(graph)].flatMap((each) =>
      [...definedNames(each), ...(each.node ?? []).map(({ name = '' }) => name)].map((name) => name.split('/', 1)[0]),
    ),
  );
  let prefix = word;
  for (let number = 2; taken.has(prefix); number++) prefix = `${word}_${number}`;
  return prefix;
}
