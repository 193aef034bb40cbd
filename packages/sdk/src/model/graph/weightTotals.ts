/** @file Counts the values and bytes of a model's weights. */

import { byteLength } from '../../graph/bytes.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import type { GraphProto, TensorProto } from '../../graph/proto.ts';
import { rawBytes } from '../../graph/tensorData.ts';
import { allGraphs, attribute } from '../../graph/walk.ts';
import type { Site } from '../../match/sites.ts';
import { isOfExpansion } from '../../match/view.ts';
import { holdsCodes } from '../../match/weights/index.ts';
import { weightSize } from '../../match/weights/stored.ts';
import { sizeOf } from '../../runtime/tensor.ts';

/** Totals over the initializers and Constant nodes of a graph and its subgraphs. */
export interface WeightTotals {
  /** Values of weights: floats, and integers that encode floats, without scales and zero points. */
  readonly parameters: number;
  readonly bytes: number;
}

/** Counts the weights of a graph; `sites` tell how layers store theirs. */
export function weightTotals(graph: GraphProto, sites: readonly Site[]): WeightTotals {
  const stored = sites.flatMap((site) =>
    [site, ...site.alsoAt].flatMap(({ weight, bias }) => [weight.stored, ...(bias ? [bias.stored] : [])]),
  );
  const sizes = new Map(
    stored.map((each) => {
      const [{ name, tensor }] = each.tensors;
      // A slice of a packed weight counts as all of it; packed codes count as the values that they encode.
      return [name, each.isPart ? sizeOf(tensor.dims ?? []) : weightSize(each)];
    }),
  );
  const beside = new Set(stored.flatMap(({ tensors: [, ...rest] }) => rest.map(({ name }) => name)));
  let [parameters, bytes] = [0, 0];
  for (const { name, tensor, isNode } of constantsOf(graph)) {
    bytes += byteLength(rawBytes(tensor) ?? new Uint8Array());
    // A scalar in a Constant node is a factor or epsilon of a formula.
    const isWeight = !(isNode && sizeOf(tensor.dims ?? []) === 1);
    const isNumbers = isWeight && (dataTypeName(tensor.dataType)?.includes('float') || holdsCodes(tensor));
    parameters += sizes.get(name) ?? (isNumbers && !beside.has(name) ? sizeOf(tensor.dims ?? []) : 0);
  }
  return { parameters, bytes };
}

function* constantsOf(graph: GraphProto): Generator<{
  readonly name: string;
  readonly tensor: TensorProto;
  readonly isNode: boolean;
}> {
  for (const { initializer = [], node = [] } of allGraphs(graph)) {
    for (const tensor of initializer) {
      const { name = '' } = tensor;
      if (!isOfExpansion(name)) yield { name, tensor, isNode: false };
    }
    for (const each of node) {
      const tensor = each.opType === 'Constant' ? attribute(each, 'value')?.t : undefined;
      const [name = ''] = each.output ?? [];
      if (tensor && !isOfExpansion(name)) yield { name, tensor, isNode: true };
    }
  }
}
