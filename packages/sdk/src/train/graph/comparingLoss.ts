/** @file A loss that compares the rows of a batch with each other, as its two halves, so that a batch can be computed in parts. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { total } from '../losses/reduction.ts';
import { type LossFragment, noteFeatures } from './addLoss.ts';

/** Some rows of a batch. */
export interface BatchPart {
  /** Which rows of the batch they are. */
  readonly places: readonly number[];
  /** What the graph is fed for them. */
  readonly inputs: Feeds;
  /** Their targets. */
  readonly targets: Feeds;
}

/** The halves of a loss that compares rows. */
export interface Comparison {
  /** What is compared of each row, `[rows, …]`, no row of which depends on another. */
  readonly features: LossFragment;
  /** The loss, a scalar, from the features of all rows and the targets of the batch. */
  readonly loss: (g: GraphBuilder, features: Value, targets: Readonly<Record<string, Value>>) => Value;
  /**
   * Parts of so many rows each, such as those of about one length together, with less padding; undefined for parts in the order of
   * the batch. `rows` divides the batch.
   */
  readonly parts?: (inputs: Feeds, targets: Feeds, rows: number) => readonly BatchPart[] | undefined;
}

/** A loss that is known by its halves. */
export interface ComparingLoss extends LossFragment {
  /** The halves. */
  readonly comparison: Comparison;
}

/**
 * A loss of a task that compares rows, such as a contrastive one. Where a batch takes much memory, what is compared is computed part
 * by part, and then each part has its gradients with the others' features held: the gradients of the batch, at the memory of a part.
 * Where parts have less padding, as questions beside long answers, the graph has a branch for each of two.
 *
 * @see Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (2021), GradCache
 */
export function comparingLoss(comparison: Comparison): ComparingLoss {
  const whole: LossFragment = (g, outputs, targets) =>
    comparison.loss(g, comparison.features(g, outputs, targets), targets);
  return Object.assign(whole, { comparison });
}

/** The halves of a loss that has them. */
export function comparisonOf(loss: LossFragment): Comparison | undefined {
  return (loss as Partial<ComparingLoss>).comparison;
}

/** A function that stands for a loss, with the halves that the loss has. */
export function inPlaceOf(given: { readonly loss: LossFragment }, own: LossFragment): LossFragment {
  const comparison = comparisonOf(given.loss);
  return comparison ? Object.assign(own, { comparison }) : own;
}

/** The target with what is compared of all rows that are not in the graph, `[others, …]`. */
export const OTHERS = 'others';
/** The target that says of each row of the batch its place among those in the graph, part by part, and the others. */
export const ORDER = 'order';
/** Before the names of the whole batch's targets. */
const BATCH = 'batch/';

/** What something of part `part` of a graph is called. */
export function partName(name: string, part: number): string {
  return part === 0 ? name : `part-${part}/${name}`;
}

/** What belongs to part `part`, by its own names. */
export function ofPart<Each>(all: Readonly<Record<string, Each>>, part: number): Record<string, Each> {
  const prefix = partName('', part);
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, each]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), each]] : [])),
  );
}

/** The targets of a graph of these parts: inputs of all but the first, targets of each, and those of the whole batch. */
export function targetsOfParts(parts: readonly BatchPart[], batch: Feeds): Feeds {
  const named = (feeds: Feeds, name: (own: string) => string): Feeds =>
    Object.fromEntries(Object.entries(feeds).map(([own, tensor]) => [name(own), tensor]));
  const all = parts.map(({ inputs, targets }, i) =>
    named(i === 0 ? targets : { ...inputs, ...targets }, (name) => partName(name, i)),
  );
  return Object.assign(
    {},
    ...all,
    named(batch, (name) => `${BATCH}${name}`),
  ) as Feeds;
}

/** The loss of a batch in a graph of so many parts of it: gradients are those with respect to the rows in the graph. */
export function partLoss(comparison: Comparison, parts: number): LossFragment {
  return (g, outputs, targets) => {
    const here = ofParts(comparison, parts, g, outputs, targets);
    const all = g.Gather(targets[OTHERS] ? g.Concat([here, targets[OTHERS]], 0) : here, targets[ORDER]!, 0);
    const batch = Object.entries(targets).filter(([name]) => name.startsWith(BATCH));
    return comparison.loss(g, all, Object.fromEntries(batch.map(([name, value]) => [name.slice(BATCH.length), value])));
  };
}

/** In place of a loss for a graph of so many parts that gives features alone. */
export function featuresAlone(comparison: Comparison, parts: number): LossFragment {
  return (g, outputs, targets) => total(g, ofParts(comparison, parts, g, outputs, targets), 'mean');
}

/** What is compared of the rows of all parts, which the graph gives besides. */
function ofParts(
  { features }: Comparison,
  parts: number,
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
): Value {
  const own = Array.from({ length: parts }, (_, i) => features(g, ofPart(outputs, i), ofPart(targets, i)));
  const here = inFloats(g, own.length === 1 ? own[0]! : g.Concat(own, 0));
  noteFeatures(g, here);
  return here;
}

function inFloats(g: GraphBuilder, value: Value): Value {
  return value.type === 'float32' ? value : g.Cast(value, dataTypeNumber('float32'));
}
