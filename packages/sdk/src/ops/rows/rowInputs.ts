/** @file Finds the inputs of a model with one row per example. */

import type { GraphProto } from '../../graph/proto.ts';
import { declaredType } from '../inferGraph.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/** Number of rows of a batch, and the inputs with rows on axis 0. */
export interface RowInputs {
  readonly rows: number;
  readonly names: readonly string[];
}

/**
 * The first input with a dynamic first dimension sets the number of rows; all such inputs of that length have rows.
 * With static shapes only, matrices do; a size that equals it by chance does not count.
 */
export function rowInputsOf(graph: GraphProto, inputs: Feeds): RowInputs {
  const fed = (graph.input ?? []).flatMap((info) => {
    const tensor = inputs[info.name ?? ''];
    const declared = declaredType(info).shape;
    return tensor && declared?.length ? [{ name: info.name!, size: tensor.dims[0]!, declared }] : [];
  });
  const varying = fed.filter(({ declared }) => typeof declared[0] === 'string');
  const candidates = varying.length > 0 ? varying : fed.filter(({ declared }) => declared.length > 1);
  const rows = candidates[0]?.size ?? 0;
  return { rows, names: candidates.filter(({ size }) => size === rows).map(({ name }) => name) };
}
