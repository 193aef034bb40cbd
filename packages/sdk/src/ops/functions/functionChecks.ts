/** @file Checks functions before they are inlined: opsets, recursion, size. */

import { OnnxLoraError } from '../../errors.ts';
import type { FunctionProto, GraphProto, NodeProto } from '../../graph/proto.ts';
import { allNodes, subgraphs } from '../../graph/walk.ts';
import { isStandard } from '../domains.ts';

const reductions = [
  'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd', 'ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp',
  'ReduceSumSquare',
]; // prettier-ignore

/** Versions in which a valid node changes its meaning, or becomes invalid. @see ONNX's Changelog.md */
const changedAt: Readonly<Record<string, readonly number[]>> = {
  ...Object.fromEntries(reductions.map((op) => [op, [18]])),
  ReduceSum: [13],
  Softmax: [13],
  LogSoftmax: [13],
  Hardmax: [13],
  Squeeze: [13],
  Unsqueeze: [13],
  Split: [13, 18],
  Clip: [11],
  Pad: [11],
  Slice: [10],
  TopK: [10, 11],
  Resize: [11, 13],
  Upsample: [9, 10],
  Dropout: [12],
  BatchNormalization: [9, 14],
  GroupNormalization: [21],
  GridSample: [20],
  Scan: [9],
};

/** The first node, subgraphs included, that changes its meaning between two opsets. */
export function changedBetween(nodes: readonly NodeProto[], from: number, to: number): NodeProto | undefined {
  return [...allNodes({ node: [...nodes] })].find(({ domain, opType = '' }) => {
    const versions = isStandard(domain) && Object.hasOwn(changedAt, opType) ? changedAt[opType]! : [];
    return versions.some((at) => at > from && at <= to);
  });
}

/**
 * Checks that a function of one standard opset may be read as another.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` if the function is newer than the model, or uses an operator that changed
 */
export function checkedOpset(called: FunctionProto, version: number, model: number): void {
  if (version === model) return;
  const changed = version < model ? changedBetween(called.node ?? [], version, model) : undefined;
  if (version < model && !changed) return;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `Function "${called.name}" is written for version ${version} of the standard operators, the model for version ${model}` +
      (changed ? `, and ${changed.opType} changed between them` : '') +
      `. Convert the model to one version, with onnx.version_converter or by exporting it again.`,
  );
}

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
