/** @file Rewrites of the forward pass that make a training step cheaper and leave its results as they are. */

import { addMasks } from './addMasks.ts';
import type { ForwardGraph } from './forwardGraph.ts';
import { fuseRotary } from './fuseRotary.ts';
import { mergeEqual } from './mergeEqual.ts';
import { replaceNanGuards } from './nanGuards.ts';
import { splitSlices } from './splitSlices.ts';

export { bytesOfAll, forwardGraph, type SizedValue, sizedValues } from './forwardGraph.ts';
export { type Memory, planMemory } from './planMemory.ts';

/** Applies all rewrites; may be interrupted between them. */
export function* simplifyForward(graph: ForwardGraph): Generator<void, void> {
  for (const rewrite of [mergeEqual, splitSlices, fuseRotary, addMasks, replaceNanGuards, mergeEqual]) {
    rewrite(graph);
    yield;
  }
}
