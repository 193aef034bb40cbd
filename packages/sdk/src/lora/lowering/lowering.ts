/** @file What tunings of one form make of the nodes of one graph. */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { Site } from '../../match/sites.ts';

/** Emits what becomes of a node of the file, whose subgraphs have been rewritten. */
export type EmitNode = (original: NodeProto, current: NodeProto) => void;

/** What tunings of one kind make of one graph: what is emitted for its nodes, in their order. */
export interface Lowering {
  /** What stands in place of nodes. */
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  /** Nodes that are emitted no more, as those of a layer that is computed otherwise. */
  readonly dropped: ReadonlySet<NodeProto>;
  /** What is emitted with nodes that are neither. */
  readonly beside: ReadonlyMap<NodeProto, EmitNode>;
  /** What a node shall read in place of its inputs, by their names. */
  renamed?(original: NodeProto): Iterable<readonly [name: string, value: Value]>;
  /** Emits into the main graph what is added to the loss in training. */
  losses?(): readonly Value[];
  /** What becomes of a layer's product, without its bias, where another tuning computes it from a weight of its own. */
  adapted?(site: Site, product: Value): Value;
}
