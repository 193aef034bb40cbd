/** @file Runs a model in parts, so that only some weights are in memory at a time. */

import type { ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { valueInfo } from '../../graph/valueInfo.ts';
import { readNames } from '../../graph/walk.ts';
import { dropUnreadInitializers, reachable } from '../../ops/rewrites/simplify.ts';
import { isRandom } from '../../ops/schema.ts';
import { type Feeds, sizeOf } from '../../runtime/tensor.ts';

/** Weight elements per part; one node may read more. */
const MOST_WEIGHTS = 16 << 20;

/** Runs a model in as few parts as stay below `mostWeights`. Values are kept until their last reader. */
export async function runInParts(
  model: ModelProto,
  feeds: Feeds,
  run: (part: ModelProto, feeds: Feeds) => Promise<Feeds>,
  mostWeights: number = MOST_WEIGHTS,
): Promise<Feeds> {
  const outputs = (model.graph?.output ?? []).map(({ name = '' }) => name);
  const { constant, parts } = partsOf(model, outputs, mostWeights);
  const reads = parts.map((nodes) => {
    return new Set(reachable([...constant, ...nodes], nodes.flatMap(madeBy)).flatMap(readNames));
  });
  const values = new Map(Object.entries(feeds));
  for (const [i, nodes] of parts.entries()) {
    const later = new Set([...outputs, ...reads.slice(i + 1).flatMap((names) => [...names])]);
    const made = nodes.flatMap(madeBy).filter((name) => later.has(name));
    const isLast = i === parts.length - 1;
    const wanted = isLast ? outputs.filter((name) => !values.has(name)) : made;
    const read = [...values].filter(([name]) => reads[i]!.has(name));
    for (const name of values.keys()) if (!later.has(name)) values.delete(name);
    const graph = dropUnreadInitializers({
      ...model.graph,
      node: reachable([...constant, ...nodes], wanted),
      input: read.map(([name, { type, dims }]) => valueInfo(name, type, dims)),
      output: wanted.map((name) => ({ name })),
      valueInfo: [],
    });
    const found = await run({ ...model, graph }, Object.fromEntries(read));
    for (const [name, value] of Object.entries(found)) values.set(name, value);
  }
  return Object.fromEntries(outputs.map((name) => [name, values.get(name)!]));
}

/** The sorted nodes split into parts, and constant subgraphs, which are computed by every reader. */
function partsOf(
  { graph = {} }: ModelProto,
  outputs: readonly string[],
  mostWeights: number,
): { readonly constant: readonly NodeProto[]; readonly parts: readonly (readonly NodeProto[])[] } {
  /** The weights that each constant value depends on. */
  const behind = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? '', [tensor]]));
  const constant: NodeProto[] = [];
  const parts: NodeProto[][] = [[]];
  let weights = new Set<TensorProto>();
  for (const node of reachable(graph.node ?? [], outputs)) {
    const names = readNames(node);
    const own = names.flatMap((name) => behind.get(name) ?? []);
    if (names.every((name) => behind.has(name)) && !isRandom(node)) {
      constant.push(node);
      for (const name of madeBy(node)) behind.set(name, own);
      continue;
    }
    const together = new Set([...weights, ...own]);
    if (own.length > 0 && numbersOf(together) > mostWeights && parts.at(-1)!.length > 0) {
      parts.push([]);
      weights = new Set(own);
    } else weights = together;
    parts.at(-1)!.push(node);
  }
  return { constant, parts };
}

function numbersOf(weights: ReadonlySet<TensorProto>): number {
  return [...weights].reduce((sum, { dims = [] }) => sum + sizeOf(dims), 0);
}

function madeBy({ output = [] }: NodeProto): string[] {
  return output.filter(Boolean);
}
