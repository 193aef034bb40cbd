/** @file Types and shapes of a node's outputs: one row per operator. What has no row is left unknown. */

import type { Dim, ValueType } from '../graph/value.ts';
import { isKnownDomain } from './domains.ts';
import { attentionRules } from './inference/attention.ts';
import { blockedRules, NCHWC, windowRules } from './inference/windows.ts';
import { elementwiseRules } from './inference/elementwise.ts';
import { imageRules } from './inference/images.ts';
import { movementRules } from './inference/movement.ts';
import { productRules } from './inference/products.ts';
import { quantizedRules } from './inference/quantized.ts';
import { isRefused } from './inference/refusals.ts';
import { reductionRules } from './inference/reductions.ts';
import { selectionRules } from './inference/selection.ts';
import type { InferenceSite, Rule } from './inference/site.ts';
import { sourceRules } from './inference/sources.ts';
import { timeSeriesRules } from './inference/timeSeries.ts';

/** Rows by operator; where a contrib operator of com.microsoft has the name of one of ONNX's, its row looks at the domain. */
export const inferenceRules: Readonly<Record<string, Rule>> = {
  ...elementwiseRules,
  ...reductionRules,
  ...productRules,
  ...windowRules,
  ...imageRules,
  ...movementRules,
  ...selectionRules,
  ...sourceRules,
  ...timeSeriesRules,
  ...quantizedRules,
  ...attentionRules,
};

/**
 * Infers the types of a node's outputs, in order.
 *
 * @returns as many entries as the rule knows; `{}` where nothing is known
 */
export function inferNode(site: InferenceSite): readonly ValueType[] {
  return inferred(site).map(sound);
}

/** Whether a node is sure to fail on operands of these types. */
export function isImpossible(site: InferenceSite): boolean {
  return isRefused(site, inferred(site));
}

function inferred(site: InferenceSite): readonly ValueType[] {
  const { opType = '', domain, known } = site.node;
  if (known?.infer) return known.infer(site);
  const rows = isKnownDomain(site.node) ? inferenceRules : domain === NCHWC ? blockedRules : {};
  return Object.hasOwn(rows, opType) ? rows[opType]!(site) : [];
}

/** Drops the shape or contents that only a node which breaks ONNX's rules leads to; the runtime will refuse it. */
function sound({ type, shape, ints }: ValueType): ValueType {
  const isSize = (dim: Dim): boolean => typeof dim === 'string' || (Number.isSafeInteger(dim) && dim >= 0);
  const isKnown = (value: Dim | undefined): boolean =>
    typeof value === 'string' || (typeof value === 'number' && !Number.isNaN(value));
  // Holes of sparse arrays too, which `every` would pass over.
  return {
    type,
    shape: shape && Array.from(shape).every(isSize) ? shape : undefined,
    ints: ints && Array.from(ints).every(isKnown) ? ints : undefined,
  };
}
