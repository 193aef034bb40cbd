/** @file Which inputs of a model have a row for each example of a batch. */

import type { GraphProto } from '../../graph/proto.ts';
import { declaredType } from '../inferGraph.ts';
import type { Feeds } from '../../runtime/tensor.ts';

/** Rows of a batch, and the inputs that have them on axis 0. */
export interface RowInputs {
  readonly rows: number;
  readonly names: readonly string[];
}

/**
 * The rows are on the first dimension that the file lets vary: of inputs that have one there, all that are as long as the
 * first; in a file of fixed sizes all matrices that are. A fixed size that is as long by chance, such as the height and width
 * of two images, is none.
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
