/** @file A loss that compares rows, as features and comparison, so that a batch can be computed in parts. */

import type { GraphBuilder, Value } from '../../graph/builder.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { Feeds } from '../../runtime/tensor.ts';
import { total } from '../losses/reduction.ts';
import { type LossFragment, noteFeatures } from './addLoss.ts';

/** Some rows of a batch. */
export interface BatchPart {
  /** Their row numbers in the batch. */
  readonly places: readonly number[];
  /** Their inputs. */
  readonly inputs: Feeds;
  /** Their targets. */
  readonly targets: Feeds;
}

/** The two halves of a loss that compares rows. */
export interface Comparison {
  /** The features to compare, `[rows, …]`; no row may depend on another. */
  readonly features: LossFragment;
  /** The scalar loss of the features of all rows and the batch's targets. */
  readonly loss: (g: GraphBuilder, features: Value, targets: Readonly<Record<string, Value>>) => Value;
  /** Splits a batch into parts of `rows` rows, such as by length; undefined for the batch's order. */
  readonly parts?: (inputs: Feeds, targets: Feeds, rows: number) => readonly BatchPart[] | undefined;
}

/** A loss with known halves. */
export interface ComparingLoss extends LossFragment {
  /** Computes features per row and the loss between rows. */
  readonly comparison: Comparison;
}

/**
 * Makes a loss that compares rows, such as a contrastive one. To save memory, features are computed part by part, and
 * then each part's gradients with the others' features fixed: the gradients of the whole batch. If that saves padding,
 * as for questions with long answers, the graph has a branch for each of two parts.
 * @see Gao et al., "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup" (2021), GradCache
 */
export function comparingLoss(comparison: Comparison): ComparingLoss {
  const whole: LossFragment = (g, outputs, targets) =>
    comparison.loss(g, comparison.features(g, outputs, targets), targets);
  return Object.assign(whole, { comparison });
}

/** The halves of a loss, if it compares rows. */
export function comparisonOf(loss: LossFragment): Comparison | undefined {
  return (loss as Partial<ComparingLoss>).comparison;
}

/** Copies a loss's halves to a function that wraps the loss. */
export function withComparisonOf(given: { readonly loss: LossFragment }, own: LossFragment): LossFragment {
  const comparison = comparisonOf(given.loss);
  return comparison ? Object.assign(own, { comparison }) : own;
}

/** Name of the target with the features of all rows outside the graph, `[others, …]`. */
export const OTHERS = 'others';
/** Name of the target with each row's place among the graph's rows, part by part, and the others. */
export const ORDER = 'order';
/** Prefix of the whole batch's targets. */
const BATCH = 'batch/';

/** Name of a value of a graph's part. */
export function partName(name: string, part: number): string {
  return part === 0 ? name : `part-${part}/${name}`;
}

/** The values of a part, by their own names. */
export function valuesOfPart<Each>(all: Readonly<Record<string, Each>>, part: number): Record<string, Each> {
  const prefix = partName('', part);
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, each]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), each]] : [])),
  );
}

/** Targets of a graph with these parts: inputs of all but the first, each one's targets, and the whole batch's. */
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

/** The loss of a batch in a graph with `parts` of it: gradients are with respect to the rows in the graph. */
export function partLoss(comparison: Comparison, parts: number): LossFragment {
  return (g, outputs, targets) => {
    const here = ofParts(comparison, parts, g, outputs, targets);
    const all = g.Gather(targets[OTHERS] ? g.Concat([here, targets[OTHERS]], 0) : here, targets[ORDER]!, 0);
    const batch = Object.entries(targets).filter(([name]) => name.startsWith(BATCH));
    return comparison.loss(g, all, Object.fromEntries(batch.map(([name, value]) => [name.slice(BATCH.length), value])));
  };
}

/** A substitute for the loss in a graph of `parts` that only outputs features. */
export function featuresOnly(comparison: Comparison, parts: number): LossFragment {
  return (g, outputs, targets) => total(g, ofParts(comparison, parts, g, outputs, targets), 'mean');
}

/** The features of all parts' rows, noted as an output. */
function ofParts(
  { features }: Comparison,
  parts: number,
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
): Value {
  const own = Array.from({ length: parts }, (_, i) => features(g, valuesOfPart(outputs, i), valuesOfPart(targets, i)));
  const here = inFloats(g, own.length === 1 ? own[0]! : g.Concat(own, 0));
  noteFeatures(g, here);
  return here;
}

function inFloats(g: GraphBuilder, value: Value): Value {
  return value.type === 'float32' ? value : g.Cast(value, dataTypeNumber('float32'));
}
