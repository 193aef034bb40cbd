/**
 * @file Products with weights in 4-bit floats, as the CPU computes them some rows of the weight at a time. ONNX Runtime's kernel
 *   of MatMulBnb4 unpacks its whole weight to float32 at each run: half a gigabyte of a language model's head.
 */

import { attributeProto } from '../../graph/attributes.ts';
import { GraphBuilder, type Value } from '../../graph/builder.ts';
import { dataTypeName } from '../../graph/dataType.ts';
import type { ModelProto, NodeProto, TensorProto } from '../../graph/proto.ts';
import { freePrefix } from '../../graph/uniqueNames.ts';
import { indexGraph } from '../../graph/walk.ts';
import { CONTRIB } from '../domains.ts';
import { inferNode } from '../infer.ts';
import { opsetOf } from '../inferGraph.ts';
import { packedRows, type PackedOperands, rowRanges, UNPACKED } from '../quantization/packedRows.ts';
import { attributeOf } from '../schema.ts';

/** First opset in which Concat counts axes from the back. */
const FROM_BACK = 11;

/** The model with each MatMulBnb4 of more than `most` numbers as several; undefined if it has none. */
export function packedProducts(model: ModelProto, most: number = UNPACKED): ModelProto | undefined {
  const { graph = {} } = model;
  const opset = opsetOf(model);
  if (opset < FROM_BACK || !graph.node?.some(({ opType }) => opType === 'MatMulBnb4')) return undefined;
  const { constants } = indexGraph(graph);
  const g = new GraphBuilder({ opset, infer: inferNode, prefix: `${freePrefix(graph, 'packed')}/` });
  let isChanged = false;
  const node = graph.node.flatMap((each) => {
    const nodes = each.opType === 'MatMulBnb4' ? inParts(g, each, constants, most) : undefined;
    isChanged ||= nodes !== undefined;
    return nodes ?? [each];
  });
  if (!isChanged) return undefined;
  return { ...model, graph: { ...graph, node, initializer: [...(graph.initializer ?? []), ...g.initializers] } };
}

function inParts(
  g: GraphBuilder,
  node: NodeProto,
  constants: ReadonlyMap<string, TensorProto>,
  most: number,
): NodeProto[] | undefined {
  const operands = operandsOf(node, constants);
  const ranges = operands && attributeOf(node, 'transB') === 1 ? rowRanges(node, operands, most) : [];
  if (ranges.length < 2) return undefined;
  const x: Value = { name: node.input![0]! };
  const others = node.attribute!.filter(({ name }) => name !== 'N');
  let last = x;
  const parts = ranges.map((range) => {
    last = g.emit('MatMulBnb4', [x, ...packedRows(g, { node, operands: operands! }, range, last)], {}, CONTRIB);
    g.nodes.at(-1)!.attribute = [...others, attributeProto('N', range[1] - range[0])];
    return last;
  });
  g.Concat(parts, -1);
  g.nodes.at(-1)!.output = [...node.output!];
  return g.nodes.splice(0);
}

/** The weight's operands, if all are constants. */
function operandsOf(
  { input = [] }: NodeProto,
  constants: ReadonlyMap<string, TensorProto>,
): PackedOperands | undefined {
  const operands = input.slice(1).map((name): Value | undefined => {
    const { dims, dataType } = constants.get(name) ?? {};
    return dims && { name, type: dataTypeName(dataType), shape: dims };
  });
  return operands.every((value, i) => value || !input[i + 1]) ? operands : undefined;
}
