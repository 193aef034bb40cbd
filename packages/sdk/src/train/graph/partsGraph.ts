/** @file Several parts of a batch in one graph, each with its own shapes, sharing weights and adapters. */

import type { GraphProto } from '../../graph/proto.ts';
import { withValueNames } from '../../graph/uniqueNames.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { type AdaptedGraph, adaptedGraph, type AdaptedGraphRequest } from './adaptedGraph.ts';
import { targetInput } from './innerFragments.ts';
import { valuesOfPart, partName } from './comparingLoss.ts';

/** Request of {@link partsGraph}. */
export interface PartsGraphRequest extends AdaptedGraphRequest {
  /** Includes the inputs of all parts but the first, by {@link partName}. */
  readonly targets: Feeds;
  /** Number of parts. */
  readonly parts: number;
}

/** Joins the graphs of all parts, without If and Loop; outputs of part `n` are `part-n/…`, inputs fed like targets. */
export function* partsGraph(request: PartsGraphRequest): Generator<void, AdaptedGraph> {
  const { base, targets, parts } = request;
  const first = yield* adaptedGraph(request);
  const inputs = new Set((base.graph?.input ?? []).map(({ name = '' }) => name));
  const shared = new Set(first.inputs.map(({ name }) => name));
  const weights = new Map((first.graph.initializer ?? []).map((tensor) => [tensor.name ?? '', tensor]));
  const { graph, types } = first;
  const joined: Required<Pick<GraphProto, 'node' | 'initializer' | 'input' | 'output'>> = {
    node: [...(graph.node ?? [])],
    initializer: [...(graph.initializer ?? [])],
    input: [...(graph.input ?? [])],
    output: [...(graph.output ?? [])],
  };
  const [masks, losses, stopped] = [[...first.masks], [...first.losses], new Set(first.stopped)];
  for (let part = 1; part < parts; part++) {
    const given = valuesOfPart(targets, part);
    const fed = Object.fromEntries(Object.entries(given).filter(([name]) => inputs.has(name)));
    const own = yield* adaptedGraph({ ...request, inputs: fed, targets: given });
    // Folded shape constants differ by part; weights do not.
    const isShared = new Set((own.graph.initializer ?? []).filter((each) => weights.get(each.name!) === each).map(({ name }) => name!)); // prettier-ignore
    const inputNames = new Map(Object.keys(given).map((name) => [inputs.has(name) ? name : targetInput(name), targetInput(partName(name, part))])); // prettier-ignore
    const rename = (name: string): string =>
      name === '' || shared.has(name) || isShared.has(name) ? name : (inputNames.get(name) ?? partName(name, part));
    const renamed = withValueNames(own.graph, rename);
    joined.node.push(...(renamed.node ?? []).map((node) => ({ ...node, name: partName(node.name ?? '', part) })));
    joined.initializer.push(...(renamed.initializer ?? []).filter(({ name }) => !isShared.has(name!)));
    joined.output.push(...(renamed.output ?? []));
    masks.push(...own.masks.map((mask) => ({ ...mask, name: rename(mask.name) })));
    losses.push(...own.losses.map((loss) => ({ ...loss, name: rename(loss.name) })));
    const drawn = new Set(own.masks.map(({ name }) => rename(name)));
    joined.input.push(...(renamed.input ?? []).filter(({ name }) => drawn.has(name!)));
    for (const [name, type] of own.types) if (rename(name) !== name) types.set(rename(name), type);
    for (const name of own.stopped) stopped.add(rename(name));
    yield;
  }
  return { ...first, graph: { ...graph, ...joined }, masks, losses, stopped };
}
