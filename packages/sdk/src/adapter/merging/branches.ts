/** @file Adds branches beside layers whose weights cannot hold an adapter's change. */

import { OnnxLoraError } from '../../errors.ts';
import type { GraphProto, ModelProto, NodeProto } from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { allNodes, subgraphs } from '../../graph/walk.ts';
import type { GraphChange } from '../../lora/adapterInputs.ts';
import { injectAdapters } from '../../lora/inject.ts';
import type { AdapterPlan, PlacedModuleAdapter } from '../../lora/methods/moduleAdapter.ts';
import { inferGraph } from '../../ops/inferGraph.ts';
import { dropUnreadInitializers, reachable } from '../../ops/rewrites/simplify.ts';
import { blendFeeds, adapterFeeds, baseFeeds } from '../serving/feeds.ts';
import { joinModules } from '../serving/slots.ts';

/** An adapter's branches to add. */
export interface BranchesOfAdapter {
  readonly name: string;
  readonly tunings: readonly PlacedModuleAdapter[];
  readonly weight: number;
}

/** A graph with branches. */
export interface Branched {
  readonly model: ModelProto;
  /** Replaced nodes of the base; undefined if parts of the base are lost, so that it cannot be restored. */
  readonly changes: readonly GraphChange[] | undefined;
  readonly tensors: readonly string[];
}

/**
 * Adds the computation of a session with these adapters: one branch per layer, with tensors as constants.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for adapters that one graph cannot hold together
 */
export function withBranches(model: ModelProto, adapters: readonly BranchesOfAdapter[]): Branched {
  if (adapters.every(({ tunings }) => tunings.length === 0)) return { model, changes: [], tensors: [] };
  const plan = planOf(adapters);
  const injected = injectAdapters(model, plan, { types: inferGraph(model), mode: 'branch' });
  const { inputs } = injected;
  const parts = adapters.map(({ name, tunings, weight }) => ({
    name,
    weight,
    feeds: new Map(adapterFeeds({ tunings }, inputs)),
  }));
  const idle = baseFeeds(inputs, 0);
  const constants = new Map([...idle, ...blendFeeds(parts, inputs, idle)]);
  const fed = new Set(inputs.map(({ name }) => name));
  const graph: GraphProto = {
    ...injected.model.graph,
    input: (injected.model.graph?.input ?? []).filter(({ name }) => !fed.has(name ?? '')),
    initializer: [
      ...(injected.model.graph?.initializer ?? []),
      ...[...constants].map(([name, tensor]) => tensorProto(name, tensor)),
    ],
    // With constant inputs, shapes can be inferred.
    valueInfo: model.graph?.valueInfo ?? [],
  };
  const kept = withoutUnread(model.graph ?? {}, graph);
  const [before, after] = [model.graph, kept].map((each) => new Set(each?.initializer?.map(({ name = '' }) => name)));
  const nodes = new Set(allNodes(kept));
  const changes = injected.changes.map((each) => ({ ...each, after: each.after.filter((node) => nodes.has(node)) }));
  const isWhole = [...before!].every((name) => after!.has(name)) && hasAllNodes(model.graph ?? {}, changes, nodes);
  return {
    model: { ...injected.model, graph: kept },
    changes: isWhole ? changes : undefined,
    tensors: [...after!].filter((name) => !before!.has(name)),
  };
}

/** True if the base's nodes remain, except for recorded changes. */
function hasAllNodes(base: GraphProto, changes: readonly GraphChange[], present: ReadonlySet<NodeProto>): boolean {
  const told = new Set(changes.flatMap(({ before }) => before));
  // Nodes with subgraphs are compared by those.
  return [...allNodes(base)].every((each) => present.has(each) || told.has(each) || subgraphs(each).length > 0);
}

/** @throws OnnxLoraError `MODEL_UNSUPPORTED` for a layer that cannot hold several adapters, or a weighted one */
function planOf(adapters: readonly BranchesOfAdapter[]): AdapterPlan {
  const refusal = (path: string, why: string): OnnxLoraError =>
    new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The weight of "${path}" has too few bits to hold what the adapters make of it, and beside the layer ${why}. Merge into the model before it was quantised, or quantise the weight again with what that loses (requantize: true; --requantize).`,
    );
  const seen = new Set<string>();
  for (const { tunings, weight } of adapters)
    for (const { tuning } of tunings) {
      const { noBlend } = tuning;
      if (noBlend !== undefined && weight !== 1) throw refusal(tuning.path, `there is no part of an adapter of this kind, ${noBlend}, and its weight is ${weight}`); // prettier-ignore
      if (noBlend !== undefined && seen.has(tuning.slot)) throw refusal(tuning.path, `adapters of this kind, ${noBlend}, do not add up`); // prettier-ignore
      seen.add(tuning.slot);
    }
  return joinModules(
    adapters.flatMap(({ tunings }) => tunings.map(({ tuning }) => tuning)),
    (path) => refusal(path, 'one graph cannot hold all of their kinds'),
  );
}

/** Removes nodes and tensors that branches made unused, such as a fully trained weight. */
function withoutUnread(base: GraphProto, graph: GraphProto): GraphProto {
  const outputs = (graph.output ?? []).map(({ name = '' }) => name);
  const unreadInBase = <T>(all: readonly T[] | undefined, read: readonly T[] | undefined): T[] => {
    const has = new Set(read);
    return (all ?? []).filter((each) => !has.has(each));
  };
  const kept = new Set([...reachable(graph.node ?? [], outputs), ...unreadInBase(base.node, reachable(base.node ?? [], outputs))]); // prettier-ignore
  const node = (graph.node ?? []).filter((each) => kept.has(each));
  const tensors = new Set([
    ...(dropUnreadInitializers({ ...graph, node }).initializer ?? []),
    ...unreadInBase(base.initializer, dropUnreadInitializers(base).initializer),
  ]);
  return { ...graph, node, initializer: (graph.initializer ?? []).filter((each) => tensors.has(each)) };
}
