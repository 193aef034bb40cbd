/** @file Finds the attentions of a decoder's graph. */

import { Model, OnnxLoraError } from '@onnx-lora/sdk';
import type { TaskModel } from '@onnx-lora/sdk/tasks';
import { type NodeProto, type GraphIndex, indexGraph } from '@onnx-lora/sdk/plugin';

/** One attention block. */
export interface Attention {
  /** The product of queries `[batch, heads, queries, d]` and keys `[batch, heads, d, keys]`. */
  readonly product: NodeProto;
  /** Input of the Softmax `[batch, heads, queries, keys]`: the scores, scaled and masked by the graph. */
  readonly scores: string;
  /** The nodes between `product` and `result`, the Softmax included, in topological order. */
  readonly between: readonly NodeProto[];
  /** The product of the weights and the values `[batch, heads, keys, d]`. */
  readonly result: NodeProto;
}

/** Elementwise operators that may appear between the two products. */
const elementwise = new Set(['Add', 'Sub', 'Mul', 'Div', 'Neg', 'Tanh', 'Min', 'Max', 'Clip', 'Where', 'And', 'Or', 'Not', 'Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'IsNaN', 'Cast', 'Identity', 'Dropout']); // prettier-ignore

/** Operators other than attention that mix tokens, also across conversations packed into one row. */
const mixing = new Set(['Conv', 'ConvTranspose', 'Scan', 'Loop', 'LSTM', 'GRU', 'RNN']);

/**
 * Finds the attentions of a decoder that mixes tokens by attention alone; errors name the `purpose`, such as "Packing".
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for fused attention, attention in subgraphs, and other operators that mix
 * tokens
 */
export function attentionsOf(model: TaskModel, purpose: string): readonly Attention[] {
  const nodes = model instanceof Model ? (model.onnx.model.graph.node ?? []) : [];
  const fused = nodes.find(({ opType = '' }) => opType.includes('Attention'));
  const strange = fused ?? nodes.find(({ opType = '' }) => mixing.has(opType));
  const index = model instanceof Model ? indexGraph(model.onnx.model.graph) : undefined;
  const found = index ? nodes.flatMap((node) => attentionAt(node, nodes, index) ?? []) : [];
  if (found.length > 0 && !strange) return found;
  const why = fused
    ? `its attention is the one operator ${fused.opType}, whose scores are no values of the graph`
    : strange
      ? `its tokens learn of each other by ${strange.opType} as well`
      : 'its main graph has no Softmax between products of queries, keys and values';
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `${purpose} takes the scores of attention apart, and "${model.name}" is no graph for it: ${why}. Use a decoder exported with plain operators, as optimum-cli export onnx --task text-generation writes it without --optimize, or leave the setting out.`,
  );
}

/** Whether the graph has rotary positions: only distances between tokens count. */
export function isRotary(model: TaskModel): boolean {
  const nodes = model instanceof Model ? (model.onnx.model.graph.node ?? []) : [];
  return ['Cos', 'Sin'].every((wave) => nodes.some(({ opType }) => opType === wave));
}

/** The attention around a Softmax; undefined for any other Softmax, such as a router's. */
function attentionAt(softmax: NodeProto, nodes: readonly NodeProto[], index: GraphIndex): Attention | undefined {
  const [scores] = softmax.input ?? [];
  if (softmax.opType !== 'Softmax' || scores === undefined) return undefined;
  const { producer, uses } = index;
  const isProduct = (node: NodeProto | undefined): node is NodeProto =>
    node?.opType === 'MatMul' && node.input!.every((name) => producer.has(name) && !index.constants.has(name));
  const isInside = (node: NodeProto): boolean => node === softmax || elementwise.has(node.opType ?? '');

  const before = new Set<NodeProto>();
  const products = new Set<NodeProto>();
  const open = [scores];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const maker = producer.get(name);
    if (isProduct(maker)) products.add(maker);
    if (!maker || before.has(maker) || !isInside(maker)) continue;
    before.add(maker);
    open.push(...(maker.input ?? []));
  }
  const [product, another] = products;
  if (!product || another) return undefined;

  const behind = new Set<NodeProto>();
  const results = new Set<NodeProto>();
  open.push(product.output![0]!);
  for (let name = open.pop(); name !== undefined; name = open.pop())
    for (const { node } of uses.get(name) ?? []) {
      if (behind.has(node)) continue;
      if (isInside(node)) {
        behind.add(node);
        open.push(...(node.output ?? []));
      } else results.add(node);
    }
  const [result, other] = results;
  if (!isProduct(result) || other || !behind.has(softmax) || !behind.has(producer.get(result.input![0]!)!))
    return undefined;
  return { product, scores, between: nodes.filter((node) => behind.has(node)), result };
}
