/** @file Types and shapes of com.microsoft.nchwc: images whose channels ONNX Runtime keeps in blocks, for one processor. */

import { intAttribute } from '../../graph/walk.ts';
import { firstType, input, type Rule, unknownDim } from './site.ts';
import { conv, globalPool, pool } from './windows.ts';
import { attributeOf } from '../schema.ts';

/** The domain, in files that were saved with all optimizations. */
export const NCHWC = 'com.microsoft.nchwc';

/** Into blocks; the last one may be filled up. */
const reorderInput: Rule = (site) => {
  const { type, shape } = input(site);
  const last = attributeOf(site.node, 'channels_last') === 1;
  const sizes = last ? shape?.slice(1, -1) : shape?.slice(2);
  return [{ type, shape: shape && sizes && [shape[0]!, unknownDim(site, 1), ...sizes] }];
};

/** Out of them, to as many channels as there really are. */
const reorderOutput: Rule = (site) => {
  const { type, shape } = input(site);
  const channels = intAttribute(site.node, 'channels', 0);
  const last = attributeOf(site.node, 'channels_last') === 1;
  const sizes = shape?.slice(2);
  return [
    { type, shape: shape && sizes && (last ? [shape[0]!, ...sizes, channels] : [shape[0]!, channels, ...sizes]) },
  ];
};

/** Rows by operator; a convolution's weight has its own channels filled up too. */
export const blockedRules: Readonly<Record<string, Rule>> = {
  Conv: conv(firstType),
  MaxPool: pool,
  AveragePool: pool,
  GlobalMaxPool: globalPool,
  GlobalAveragePool: globalPool,
  ReorderInput: reorderInput,
  ReorderOutput: reorderOutput,
};
