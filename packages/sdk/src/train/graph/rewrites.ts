/**
 * @file THE table of rewrites: each makes a training graph cheaper, and changes nothing that the graph computes. To add one:
 * its name in the union, and a row here. The test of random graphs beside this file holds graphs with all rewrites against
 * graphs with none, and against finite differences; it fails while none of its graphs has the new rewrite at work.
 */

import { type Shortcut, shortcuts } from '../../autodiff/vjp.ts';
import type { GraphBuilder } from '../../graph/builder.ts';
import type { GraphProto, NodeProto } from '../../graph/proto.ts';
import type { ValueType } from '../../graph/value.ts';
import { fuse } from '../../match/fusions.ts';
import { productsWithAddends } from '../../ops/rewrites/addends.ts';
import { gatherFirst } from '../../ops/rewrites/gatherFirst.ts';
import { computeOnlyPicked } from '../../ops/rewrites/narrow.ts';
import { reachable } from '../../ops/rewrites/simplify.ts';
import { straightenReshapes } from '../../ops/rewrites/straightenReshapes.ts';
import { type ForwardRewrite, forwardRewrites } from '../forward/index.ts';

/** Rewrites a base, before adapters are in it. */
type BaseRewrite = (graph: GraphProto) => GraphProto;

/** Leaves out what `results` do not need. Types of what `g` makes are added to `types`. */
type PickingRewrite = (
  nodes: readonly NodeProto[],
  types: Map<string, ValueType>,
  g: GraphBuilder,
  results: readonly string[],
) => NodeProto[];

/** Rewrites nodes, given what is known of values; `results` keep their names. */
type NodeRewrite = (
  nodes: readonly NodeProto[],
  g: GraphBuilder,
  typeOf: (name: string) => ValueType,
  results: ReadonlySet<string>,
) => NodeProto[];

/** What a training graph can be built without. */
export type TrainingRewrite =
  | 'fuse'
  | 'gatherFirst'
  | 'computeOnlyPicked'
  | ForwardRewrite
  | 'productsWithAddends'
  | 'straightenReshapes'
  | Shortcut;

/** Tables of rewrites, each in the order of its rows. */
interface Tables {
  /** Of the base. */
  readonly base: Readonly<Record<'fuse', BaseRewrite>>;
  /** Of the forward pass, which is narrowed to what is read of it. */
  readonly picking: Readonly<Record<'gatherFirst' | 'computeOnlyPicked', PickingRewrite>>;
  /** Of the forward pass that is left. */
  readonly forward: typeof forwardRewrites;
  /** Of the gradient's nodes. */
  readonly gradient: Readonly<Record<'productsWithAddends', NodeRewrite>>;
  /** Of all nodes, once the graph is whole. */
  readonly whole: Readonly<Record<'straightenReshapes', NodeRewrite>>;
}

const tables: Tables = {
  base: { fuse },
  picking: {
    gatherFirst: (nodes, types, g, results) => reachable(gatherFirst(nodes, types, g), results),
    computeOnlyPicked,
  },
  forward: forwardRewrites,
  gradient: { productsWithAddends },
  whole: { straightenReshapes: (nodes, _, typeOf, results) => straightenReshapes(nodes, typeOf, results) },
};

/** The names of all rewrites, and of what gradient rules save. */
export const trainingRewrites: readonly TrainingRewrite[] = [...Object.values(tables), shortcuts].flatMap(
  (table) => Object.keys(table) as TrainingRewrite[],
);

/** The rewrites of each table, in their order. */
type Rewrites = { readonly [Table in keyof Tables]: readonly Tables[Table][keyof Tables[Table]][] };

/** The rewrites that a graph is built with: all of the tables but those. */
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
