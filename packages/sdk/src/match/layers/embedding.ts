/** @file Embedding layers: Gather from a constant table, plain or quantized. */

import { attributeOf } from '../../ops/schema.ts';
import { type GraphIndex } from '../../graph/walk.ts';
import { constantWeight, holdsCodes, namedConstant, quantizedWeight, type StoredWeight } from '../weights/index.ts';
import type { NodeProto } from '../../graph/proto.ts';
import { isSingle } from './linear.ts';
import { type LayerFinder, soleUse } from './layer.ts';

/** Gather of rows by ids that are fed or computed. */
export const embedding: LayerFinder = (node, index) => {
  if (node.opType !== 'Gather' || attributeOf(node, 'axis') !== 0) return undefined;
  const [table, input] = node.input ?? [];
  // Constant indices are positions or relative biases, not tokens.
  if (!table || !input || index.constants.has(input)) return undefined;
  const plain = constantWeight(table, index);
  const coded = plain ? undefined : codedTable(node, index);
  const stored = plain ?? coded?.stored;
  if (stored?.dims.length !== 2) return undefined;
  const nodes = coded ? [node, coded.dequantize] : [node];
  const output = nodes.at(-1)!.output![0]!;
  return {
    kind: 'embedding',
    node,
    nodes,
    input,
    product: output,
    output,
    weight: { name: stored.name, layout: 'torch', stored },
    weightShape: stored.dims,
  };
};

function codedTable(
  node: NodeProto,
  index: GraphIndex,
): { readonly stored: StoredWeight; readonly dequantize: NodeProto } | undefined {
  const codes = namedConstant(node.input?.[0], index);
  const dequantize = soleUse(node.output![0]!, index)?.node;
  if (!codes || !holdsCodes(codes.tensor) || dequantize?.opType !== 'DequantizeLinear') return undefined;
  const [scales, zeros] = [1, 2].map((i) => namedConstant(dequantize.input?.[i], index));
  if (!scales || !isSingle(scales) || (dequantize.input?.[2] && !zeros)) return undefined;
  const stored = quantizedWeight(codes.name, [], {
    codes,
    scales,
    ...(zeros ? { zeros } : {}),
    dims: codes.tensor.dims ?? [],
    groupOf: () => 0,
    support: [dequantize],
  });
  return stored && { stored, dequantize };
}
