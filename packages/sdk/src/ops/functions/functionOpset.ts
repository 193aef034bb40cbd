/** @file Checks whether a function body keeps its meaning under the model's opset. */

import { OnnxLoraError } from '../../errors.ts';
import type { FunctionProto, NodeProto } from '../../graph/proto.ts';
import { allNodes } from '../../graph/walk.ts';
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
