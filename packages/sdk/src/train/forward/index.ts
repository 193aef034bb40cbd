/** @file Rewrites of the forward pass that make a training step cheaper with identical results. */

import { addMasks } from './addMasks.ts';
import type { ForwardGraph } from './forwardGraph.ts';
import { fuseRotary } from './fuseRotary.ts';
import { eliminateCommonSubexpressions } from './commonSubexpressions.ts';
import { replaceNanGuards } from './nanGuards.ts';
import { splitSlices } from './splitSlices.ts';

export { bytesOfAll, type ForwardGraph, forwardGraph, type SizedValue, sizedValues } from './forwardGraph.ts';
export { type Memory, planMemory } from './planMemory.ts';

/** Name of a rewrite of the forward pass. */
export type ForwardRewrite =
  'eliminateCommonSubexpressions' | 'splitSlices' | 'fuseRotary' | 'addMasks' | 'replaceNanGuards' | 'mergeMadeEqual';

/** The rewrites by name, in order. */
export const forwardRewrites: Readonly<Record<ForwardRewrite, (graph: ForwardGraph) => void>> = {
  eliminateCommonSubexpressions,
  splitSlices,
  fuseRotary,
  addMasks,
  replaceNanGuards,
  // For nodes made equal by rewrites, such as the masks of all layers.
  mergeMadeEqual: eliminateCommonSubexpressions,
};
