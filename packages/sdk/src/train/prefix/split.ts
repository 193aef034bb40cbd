/** @file Splits forward nodes into a frozen prefix, whose outputs are kept per example, and the rest. */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { readNames } from '../../graph/walk.ts';
import { reachable } from '../../ops/rewrites/simplify.ts';
import { RowStates } from '../../ops/rows/rowStates.ts';
import { bytesPerElement, type DataType, sizeOf } from '../../runtime/tensor.ts';
import { costOf } from './cost.ts';
import { Network } from './minCut.ts';

/** Request of {@link splitPrefix}. */
export interface SplitRequest {
  /** Sorted forward nodes up to the loss. */
  readonly nodes: readonly NodeProto[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  readonly initializers: readonly TensorProto[];
  /** Values to compute, the loss first. */
  readonly results: readonly string[];
  /** Rows of the batch. */
  readonly rows: number;
  /** Batch axis of the model inputs that have one. */
  readonly rowInputs: ReadonlyMap<string, number>;
  /** Graph inputs that change between epochs or are not the model's: trained tensors and targets. */
  readonly changing: readonly string[];
  readonly room: PrefixLimits;
}

/** Limits of stored values. */
export interface PrefixLimits {
  /** Maximum bytes to store. */
  readonly bytes: number;
  /** Number of examples. */
  readonly examples: number;
  /** Model inputs that differ between epochs. */
  readonly changing?: readonly string[];
  /** Smallest share of the forward pass that is worthwhile; a tenth by default. */
  readonly leastShare?: number;
}

/** A stored value. */
export interface KeptValue {
  /** Its name in the graph. */
  readonly name: string;
  /** Its element type. */
  readonly type: DataType;
  /** For a whole batch: axis 0 has an equal part per row. */
  readonly dims: readonly number[];
}

/** The prefix and the rest. */
export interface Split {
  /** Stored values, inputs of the training graph. */
  readonly kept: readonly KeptValue[];
  /** Nodes that compute the stored values. */
  readonly prefix: readonly NodeProto[];
  /** Nodes from there to the loss, including those of the prefix that are cheaper to recompute than to store. */
  readonly suffix: readonly NodeProto[];
  /** Bytes kept per example. */
  readonly bytesPerExample: number;
  /** Estimated share of the forward pass that is saved, 0 to 1. */
  readonly share: number;
}

/** A smaller share of the forward pass is not worth the memory. */
const LEAST_SHARE = 0.1;

/** Nanoseconds that storing a byte may cost; it rises while not everything fits, so that more is recomputed. */
const prices = [1, 4, 16, 64];

/**
 * Chooses the border with the least total cost of recomputing and reading. A value can be stored if it depends on model
 * inputs alone and has a part per row that no other row influences. Returns the reason if nothing is worthwhile.
 */
export function splitPrefix(request: SplitRequest): Split | string {
  const { nodes, rows, room } = request;
  const { leastShare = LEAST_SHARE } = room;
  const frozen = frozenNodes(request);
  const states = new RowStates(request);
  for (const node of frozen) states.visit(node);
  // Constant values are computed once, when the graph is loaded.
  const isConstant = (node: NodeProto): boolean =>
    (node.output ?? []).every((name) => !name || ['same', 'uniform'].includes(states.of(name) as string));
  const costs = new Map(nodes.map((node) => [node, isConstant(node) ? 0 : costOf(node, request.types) / rows]));
  const total = sum(nodes.map((node) => costs.get(node)!));
  const bytesOf = (name: string): number =>
    states.isCutByRows(name) ? rowBytes(request.types.get(name), rows) : Infinity;

  let best: Split | undefined;
  for (const price of prices) {
    const found = cheapestSplit(request, frozen, costs, (name) => price * bytesOf(name));
    const bytesPerExample = sum(found.kept.map(bytesOf));
    const share = total === 0 ? 0 : sum(found.spared.map((node) => costs.get(node)!)) / total;
    if (share < leastShare) break;
    best = {
      kept: found.kept.map((name) => ({
        name,
        ...(request.types.get(name) as { type: DataType }),
        dims: dimsOf(name),
      })),
      prefix: reachable(frozen, found.kept),
      suffix: found.suffix,
      bytesPerExample,
      share,
    };
    if (bytesPerExample * room.examples <= room.bytes) break;
  }
  return best ?? refusal();

  function dimsOf(name: string): readonly number[] {
    return request.types.get(name)!.shape as readonly number[];
  }

  function refusal(): string {
    const share = total === 0 ? 0 : sum([...frozen].map((node) => costs.get(node)!)) / total;
    const percent = `${Math.round(100 * share)} %`;
    if (share < leastShare) return `below the lowest trained layer lies only ${percent} of the forward pass`;
    const [mixed] = [...frozen].flatMap(({ output }) =>
      (output ?? []).filter(Boolean).flatMap((name) => {
        const state = states.of(name);
        return typeof state === 'object' ? [state.mixedBy] : [];
      }),
    );
    return mixed === undefined
      ? `what ${percent} of the forward pass give is larger than it is worth`
      : `rows of a batch may influence each other in ${mixed}`;
  }
}

/** Nodes that depend on nothing that changes, in order. */
function frozenNodes({ nodes, changing }: SplitRequest): NodeProto[] {
  const changed = new Set(changing);
  return nodes.filter((node) => {
    if (!readNames(node).some((name) => changed.has(name))) return true;
    for (const name of node.output ?? []) changed.add(name);
    return false;
  });
}

/** A minimum cut: values needed on the sink's side are recomputed or stored, each at its cost. */
function cheapestSplit(
  { nodes, results }: SplitRequest,
  frozen: readonly NodeProto[],
  costs: ReadonlyMap<NodeProto, number>,
  keeping: (name: string) => number,
): { kept: string[]; suffix: NodeProto[]; spared: NodeProto[] } {
  const network = new Network();
  const places = new Map<string | NodeProto, number>();
  for (const node of frozen) {
    const again = network.place();
    places.set(node, again);
    network.edge(network.source, again, costs.get(node)!);
    for (const name of node.output ?? []) {
      if (!name) continue;
      const value = network.place();
      places.set(name, value);
      network.edge(again, value, keeping(name));
    }
    for (const name of new Set(readNames(node))) {
      const read = places.get(name);
      if (read !== undefined) network.edge(read, again, Infinity);
    }
  }
  const isFrozen = new Set(frozen);
  const needed = [...nodes.filter((node) => !isFrozen.has(node)).flatMap(readNames), ...results];
  for (const name of new Set(needed)) {
    const read = places.get(name);
    if (read !== undefined) network.edge(read, network.sink, Infinity);
  }
  const left = network.sourceSide();
  const isLeft = (key: string | NodeProto): boolean => left.has(places.get(key)!);
  const kept = frozen.flatMap((node) =>
    isLeft(node) ? (node.output ?? []).filter((name) => name && !isLeft(name)) : [],
  );
  const suffix = nodes.filter((node) => !isFrozen.has(node) || !isLeft(node));
  return { kept, suffix: reachable(suffix, results), spared: frozen.filter(isLeft) };
}

/** Bytes of one row; infinite if a value has no rows. */
function rowBytes(value: ValueType | undefined, rows: number): number {
  const isKnown = value?.type && isStatic(value.shape) && value.shape.length > 0;
  return isKnown ? (sizeOf(value.shape as number[]) * bytesPerElement(value.type!)) / rows : Infinity;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** How values of the frozen prefix are kept. */
export interface PrefixOptions extends PrefixLimits {
  /** Folder of the file that stores them; by default they are in memory. */
  readonly folder?: string;
}

/** Outcome of the frozen prefix. */
export type PrefixReport =
  | {
      readonly kept: true;
      /** Number of operators that run once per example. */
      readonly nodes: number;
      /** Their estimated share of the forward pass, 0 to 1. */
      readonly share: number;
      /** Bytes kept per example. */
      readonly bytesPerExample: number;
      /** Whether values are in memory or in a file. */
      readonly where: 'memory' | 'file';
    }
  | {
      readonly kept: false;
      /** Why nothing is kept, as a clause. */
      readonly reason: string;
    };
