/**
 * @file Splits the forward nodes of a training graph in two: those that give every example the same values in each epoch,
 * and the rest. What crosses the border is kept for each example.
 */

import type { NodeProto, TensorProto } from '../../graph/proto.ts';
import { isStatic, type ValueType } from '../../graph/value.ts';
import { readNames } from '../../graph/walk.ts';
import { reachable } from '../../ops/rewrites/simplify.ts';
import { bytesPerElement, type DataType, sizeOf } from '../../runtime/tensor.ts';
import { costOf } from './cost.ts';
import { Network } from './minCut.ts';
import { RowStates } from '../../ops/rows/rowStates.ts';

/** What to split. */
export interface SplitRequest {
  /** Forward nodes up to the loss, each after those that it reads from. */
  readonly nodes: readonly NodeProto[];
  readonly types: ReadonlyMap<string, ValueType>;
  readonly opset: number;
  readonly initializers: readonly TensorProto[];
  /** What the nodes are computed for: the loss first. */
  readonly results: readonly string[];
  /** Rows of the batch. */
  readonly rows: number;
  /** Model inputs that have a row for each example: the axis of each. */
  readonly rowInputs: ReadonlyMap<string, number>;
  /** Graph inputs that change from epoch to epoch or are no input of the model: what is trained, and targets. */
  readonly changing: readonly string[];
  readonly room: PrefixRoom;
}

/** How much may be kept, of how many examples. */
export interface PrefixRoom {
  /** Most bytes to keep. */
  readonly bytes: number;
  /** How many examples there are. */
  readonly examples: number;
  /** Model inputs that differ from epoch to epoch. */
  readonly changing?: readonly string[];
  /** The part of the forward pass from which on it is worth while; a tenth by default. */
  readonly leastShare?: number;
}

/** A value that is kept. */
export interface KeptValue {
  /** The value's name in the graph. */
  readonly name: string;
  /** Its element type. */
  readonly type: DataType;
  /** For a whole batch: axis 0 holds an equal part of each row. */
  readonly dims: readonly number[];
}

/** The two parts. */
export interface Split {
  /** Values that are kept, which the training graph has as inputs. */
  readonly kept: readonly KeptValue[];
  /** Nodes that yield the kept values. */
  readonly prefix: readonly NodeProto[];
  /** Nodes from there to the loss; some of the first part are computed again here where that costs less than keeping. */
  readonly suffix: readonly NodeProto[];
  /** What is kept of one example. */
  readonly bytesPerExample: number;
  /** The part of the forward pass that need not be computed any more, 0 to 1, estimated. */
  readonly share: number;
}

/** Below this part of the forward pass, keeping values is not worth the memory. */
const LEAST_SHARE = 0.1;

/**
 * Nanoseconds that keeping a byte may cost. The first is a few times what copying it back takes. Where not everything
 * fits, a byte gets dearer, so that a value is rather computed again from a smaller one.
 */
const prices = [1, 4, 16, 64];

/**
 * Chooses what to keep: the border at which computing again and reading back together take least. A value can be kept if
 * it depends on the model's inputs alone and has a part for each row that no other row influences.
 *
 * @returns the reason in words where nothing is worth keeping
 */
export function splitPrefix(request: SplitRequest): Split | string {
  const { nodes, rows, room } = request;
  const { leastShare = LEAST_SHARE } = room;
  const frozen = frozenNodes(request);
  const states = new RowStates(request);
  for (const node of frozen) states.visit(node);
  // Values of constants are computed once, when the graph is loaded.
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

/**
 * A minimum cut. On the sink's side is what the rest of the graph needs: of a value there, the node that computes it is
 * either there too, at its cost, or the value is kept, at its own.
 */
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

/** Bytes of one row; infinite for what cannot be cut into rows. */
function rowBytes(value: ValueType | undefined, rows: number): number {
  const isKnown = value?.type && isStatic(value.shape) && value.shape.length > 0;
  return isKnown ? (sizeOf(value.shape as number[]) * bytesPerElement(value.type!)) / rows : Infinity;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
