/** @file Type and shape inference of nodes; operators without a rule are unknown. */

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

/** Rules by operator; those of names that com.microsoft shares with ONNX check the domain. */
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

/** Infers the types of a node's outputs, as far as its rule knows; `{}` for unknown ones. */
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

/** Drops shapes and contents that only an invalid node yields; the runtime will reject it. */
function sound({ type, shape, ints }: ValueType): ValueType {
  const isSize = (dim: Dim): boolean => typeof dim === 'string' || (Number.isSafeInteger(dim) && dim >= 0);
  const isKnown = (value: Dim | undefined): boolean =>
    typeof value === 'string' || (typeof value === 'number' && !Number.isNaN(value));
  // Array.from fills holes of sparse arrays, which `every` would skip.
  return {
    type,
    shape: shape && Array.from(shape).every(isSize) ? shape : undefined,
    ints: ints && Array.from(ints).every(isKnown) ? ints : undefined,
  };
}
