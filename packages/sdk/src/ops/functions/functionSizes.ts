/** @file Bounds the size of a model before its functions are inlined. */

import { OnnxLoraError } from '../../errors.ts';
import type { FunctionProto, GraphProto, NodeProto } from '../../graph/proto.ts';
import { subgraphs } from '../../graph/walk.ts';

/** Deepest nesting of calls; no exporter comes near. */
const MAX_DEPTH = 64;

/** Most nodes and calls: functions that call each other twice grow exponentially. */
const MAX_STEPS = 1_000_000;

/** The function called by a node, if any. */
export type Lookup = (node: NodeProto) => FunctionProto | undefined;

/**
 * Checks the calls of a graph.
 * @throws OnnxLoraError `MODEL_INVALID` for recursion, or too many nodes
 */
export function checkFunctionCalls(graph: GraphProto, lookup: Lookup): void {
  const sizes = new Map<FunctionProto, number>();
  const nodesSize = (nodes: readonly NodeProto[], calls: readonly FunctionProto[]): number => {
    let size = 0;
    for (const node of nodes) {
      const called = lookup(node);
      size += 1 + (called ? functionSize(called, calls) : 0);
      for (const subgraph of subgraphs(node)) size += nodesSize(subgraph.node ?? [], calls);
    }
    return size;
  };
  const functionSize = (called: FunctionProto, calls: readonly FunctionProto[]): number => {
    const known = sizes.get(called);
    if (known !== undefined) return known;
    if (calls.includes(called) || calls.length >= MAX_DEPTH) throw recursive(called, [...calls, called]);
    const size = nodesSize(called.node ?? [], [...calls, called]);
    if (size > MAX_STEPS) throw grown(called);
    sizes.set(called, size);
    return size;
  };
  if (nodesSize(graph.node ?? [], []) > MAX_STEPS) throw grown(undefined);
}

function recursive(called: FunctionProto, calls: readonly FunctionProto[]): OnnxLoraError {
  const from = calls.indexOf(called);
  const path = calls.slice(from).map(({ name }) => name);
  const reason =
    from < calls.length - 1
      ? `calls itself (${path.join(' → ')}), which ONNX does not allow`
      : `is reached through more than ${MAX_DEPTH} calls`;
  return new OnnxLoraError(
    'MODEL_INVALID',
    `Function "${called.name}" of the model ${reason}. Export the model again.`,
  );
}

function grown(called: FunctionProto | undefined): OnnxLoraError {
  const what = called ? `Function "${called.name}" of the model` : 'The functions of the model';
  return new OnnxLoraError(
    'MODEL_INVALID',
    `${what} would become more than ${MAX_STEPS} nodes and calls. Check where the file comes from, and export it again.`,
  );
}
