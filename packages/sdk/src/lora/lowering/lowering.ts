/** @file The contract of lowerings: how one kind of tuning rewrites a graph's nodes. */

import type { Value } from '../../graph/builder.ts';
import type { NodeProto } from '../../graph/proto.ts';
import type { Site } from '../../match/sites.ts';

/** Emits the replacement of a node whose subgraphs are already rewritten. */
export type EmitNode = (original: NodeProto, current: NodeProto) => void;

/** Rewrites of a graph's nodes by one kind of tuning. */
export interface Lowering {
  /** Nodes with a replacement. */
  readonly replaced: ReadonlyMap<NodeProto, EmitNode>;
  /** Nodes that are not emitted, such as the others of a replaced layer. */
  readonly dropped: ReadonlySet<NodeProto>;
  /** Other nodes, emitted with additions. */
  readonly beside: ReadonlyMap<NodeProto, EmitNode>;
  /** Values a node reads instead of its inputs, by their names. */
  renamed?(original: NodeProto): Iterable<readonly [name: string, value: Value]>;
  /** Emits terms added to the loss in training, into the main graph. */
  losses?(): readonly Value[];
  /** A layer's product without its bias, adapted for a tuning that recomputes it from its own weight. */
  adapted?(site: Site, product: Value): Value;
}
