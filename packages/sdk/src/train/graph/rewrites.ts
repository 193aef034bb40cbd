/**
 * @file Table of rewrites that make training graphs cheaper with identical results. A new one needs its name in the
 *   union and a row here. The test of random graphs compares graphs with and without rewrites and finite differences;
 *   it fails if a rewrite never applies.
 */

import { type Shortcut, shortcuts } from '../../autodiff/vjp.ts';
import type { GraphBuilder } from '../../graph/builder.ts';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { fuse } from '../../match/fusions.ts';
import { productsWithAddends, straightenReshapes } from '../../ops/rewrites/gradientNodes.ts';
import { gatherFirst } from '../../ops/rewrites/gatherFirst.ts';
import { pushDownSelections } from '../../ops/rewrites/pushDownSelections.ts';
import { reachable } from '../../ops/rewrites/simplify.ts';
import { type ForwardRewrite, forwardRewrites } from '../forward/index.ts';

/** Rewrites the base before injection. */
type BaseRewrite = (graph: GraphProto) => GraphProto;

/** Drops nodes that `results` do not need; adds types of nodes emitted with `g` to `types`. */
type PickingRewrite = (
  nodes: readonly NodeProto[],
  types: Map<string, ValueType>,
  g: GraphBuilder,
  results: readonly string[],
) => NodeProto[];

/** Rewrites nodes; `results` keep their names. */
type NodeRewrite = (
  nodes: readonly NodeProto[],
  g: GraphBuilder,
  typeOf: (name: string) => ValueType,
  results: ReadonlySet<string>,
) => NodeProto[];

/** Rewrites that can be skipped. */
export type TrainingRewrite =
  | 'fuse'
  | 'gatherFirst'
  | 'pushDownSelections'
  | ForwardRewrite
  | 'productsWithAddends'
  | 'straightenReshapes'
  | Shortcut;

/** Rewrites by stage, in order. */
interface Tables {
  /** Rewrites of the base. */
  readonly base: Readonly<Record<'fuse', BaseRewrite>>;
  /** Rewrites of the forward pass, narrowed to values that are read. */
  readonly picking: Readonly<Record<'gatherFirst' | 'pushDownSelections', PickingRewrite>>;
  /** Rewrites of the remaining forward pass. */
  readonly forward: typeof forwardRewrites;
  /** Rewrites of the gradient's nodes. */
  readonly gradient: Readonly<Record<'productsWithAddends', NodeRewrite>>;
  /** Rewrites of all nodes at the end. */
  readonly whole: Readonly<Record<'straightenReshapes', NodeRewrite>>;
}

const tables: Tables = {
  base: { fuse },
  picking: {
    gatherFirst: (nodes, types, g, results) => reachable(gatherFirst(nodes, types, g), results),
    pushDownSelections,
  },
  forward: forwardRewrites,
  gradient: { productsWithAddends },
  whole: { straightenReshapes: (nodes, _, typeOf, results) => straightenReshapes(nodes, typeOf, results) },
};

/** Names of all rewrites and gradient shortcuts. */
export const trainingRewrites: readonly TrainingRewrite[] = [...Object.values(tables), shortcuts].flatMap(
  (table) => Object.keys(table) as TrainingRewrite[],
);

type Rewrites = { readonly [Table in keyof Tables]: readonly Tables[Table][keyof Tables[Table]][] };

/** The rewrites to apply: all except those in `left`. */
export function rewritesWithout(left: ReadonlySet<TrainingRewrite> = new Set()): Rewrites {
  const of = <Rewrite>(table: Readonly<Partial<Record<TrainingRewrite, Rewrite>>>): Rewrite[] =>
    Object.entries(table).flatMap(([name, rewrite]) => (left.has(name as TrainingRewrite) ? [] : [rewrite]));
  return {
    base: of(tables.base),
    picking: of(tables.picking),
    forward: of(tables.forward),
    gradient: of(tables.gradient),
    whole: of(tables.whole),
  };
}
