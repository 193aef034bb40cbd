/** @file The whole of which a graph output is only a part. */

import type { GraphProto } from '../graph/proto.ts';

/**
 * The value that a Slice cuts an output from; undefined where the output is not cut from anything.
 *
 * SAM's decoder makes four masks for a prompt, and its export leaves out the first, which is the one for prompts that can mean
 * only one thing.
 */
export function slicedFrom({ node = [] }: GraphProto, output: string): string | undefined {
  let wanted: string | undefined = output;
  // Not for ever: nodes of a broken file may read each other in a circle.
  for (let steps = 0; steps < node.length; steps++) {
    const maker = node.find((each) => wanted !== undefined && each.output?.includes(wanted));
    if (maker?.opType === 'Slice') return maker.input?.[0];
    if (maker?.opType !== 'Identity') return undefined;
    wanted = maker.input?.[0];
  }
  return undefined;
}
