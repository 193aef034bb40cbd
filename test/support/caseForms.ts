/** @file How the numeric checks of gradients are written down. */

import type { Case, Domain, Operand } from './gradcheck.ts';

/** At least one check. */
export type Cases = readonly [Case, ...Case[]];

/** A float32 check: the CPU provider has no float64 kernel for the operator. */
export const single = (...cases: Cases): Cases =>
  cases.map((each): Case => ({ ...each, type: 'float32' })) as [Case, ...Case[]];

/** An operand of that shape, drawn from that domain. */
export const from = (domain: Domain, ...shape: number[]): Operand => ({ shape, domain });
