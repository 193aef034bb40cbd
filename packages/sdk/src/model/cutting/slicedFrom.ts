/** @file The value that the last node of an output takes: the whole of which it is a part, the scores of which it is made. */

import type { GraphProto, NodeProto } from '../../graph/proto.ts';

/**
 * The value that a Slice cuts an output from; undefined where the output is not cut from anything.
 *
 * SAM's decoder makes four masks for a prompt, and its export leaves out the first, which is the one for prompts that can mean
 * only one thing.
 */
export function slicedFrom(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker?.opType === 'Slice' ? maker.input?.[0] : undefined;
}

const probabilities = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);

/** The scores of which a Softmax, LogSoftmax or Sigmoid makes an output; undefined where none does. */
export function logitsOf(graph: GraphProto, output: string): string | undefined {
  const maker = makerOf(graph, output);
  return maker && probabilities.has(maker.opType ?? '') ? maker.input?.[0] : undefined;
}

/** The node that computes a value, copies aside. */
function makerOf({ node = [] }: GraphProto, value: string): NodeProto | undefined {
  let wanted: string | undefined = value;
  // Not for ever: nodes of a broken file may read each other in a circle.
  for (let steps = 0; steps < node.length; steps++) {
    const maker = node.find((each) => wanted !== undefined && each.output?.includes(wanted));
    if (maker?.opType !== 'Identity') return maker;
    wanted = maker.input?.[0];
  }
  return undefined;
}
