/** @file A layer of a graph before it has a module path: what it reads, yields and weighs. */

import type { NodeProto } from '../../graph/proto.ts';
import type { GraphIndex, Use } from '../../graph/walk.ts';
import type { ExplainedIndex } from '../mismatch.ts';
import { constantWeight, type StoredWeight } from '../weights/index.ts';
import { weightSize } from '../weights/stored.ts';
import { isLargestOfRows } from '../../ops/quantization/forms.ts';

/**
 * What kind of torch module a site is. A `parameter` is a bare one, such as stacked experts, or the weights of an LSTM; it is
 * not a module, and only `targetParameters` means it.
 */
export type SiteKind =
  'linear' | 'conv1d' | 'conv2d' | 'conv3d' | 'convTranspose1d' | 'convTranspose2d' | 'embedding' | 'parameter';

/** How the layer's node reads the weight, compared with torch: `[out, in]` as torch's Linear has it, or transposed. */
export type WeightLayout = 'out-in' | 'in-out' | 'torch';

/** Orders of dimensions that bring a linear layer's features last, and back. */
export interface Arrangement {
  /** Applied to the input: its features become the last dimension. */
  readonly input: readonly number[];
  /** Applied to the low-rank product, whose features are last: they go where the layer has them. */
  readonly output: readonly number[];
}

/** A layer's bias, and where it is read. */
export interface LayerBias {
  /** Name of the value that is read. */
  readonly name: string;
  /** The stored tensor behind it. */
  readonly stored: StoredWeight;
  /** The product's own node, or an Add behind it. */
  readonly node: NodeProto;
  /** Which of the node's inputs it is. */
  readonly index: number;
  /**
   * The Add inside the product, between integers, where it is rounded before it is added. `node` is then what reads it in
   * floats.
   */
  readonly inside?: NodeProto;
}

/** A linear layer, convolution or embedding. */
export interface Layer {
  /** What kind of layer it is. */
  readonly kind: SiteKind;
  /** The node that reads the weight: MatMul, Gemm, Conv, Gather … */
  readonly node: NodeProto;
  /** The nodes that make the product, from `node` on: several where integers are multiplied and then scaled. */
  readonly nodes: readonly NodeProto[];
  /** Value that the layer reads: `[..., in]` for a linear layer. */
  readonly input: string;
  /** The product, without a bias that is added behind it. */
  readonly product: string;
  /** Value that the layer yields, its bias added: `[..., out]`. */
  readonly output: string;
  /** The value that the node reads as its weight, how that lies in the graph, and the stored tensor behind it. */
  readonly weight: { readonly name: string; readonly layout: WeightLayout; readonly stored: StoredWeight };
  /** The layer's bias, where it has one. */
  readonly bias?: LayerBias;
  /** Shape of the weight as torch has it: `[out, in]`, `[out, in / groups, ...kernel]`, `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  /** Where the features are not the last dimension. */
  readonly arrange?: Arrangement;
  /** Of a `parameter`: which dimension of the weight the input is multiplied along, 1 or 2. */
  readonly contracted?: 1 | 2;
  /** Of a `parameter` of LSTM or GRU: which input of the node holds it, and at which place of its first dimension. */
  readonly recurrent?: { readonly input: number; readonly place: number };
  /** Of a `parameter`: how the factors are multiplied with it, as equations of Einsum. */
  readonly equations?: readonly [string, string];
  /** Of a `parameter` of which each row is multiplied with one expert: the value that says which, `[rows]` or `[rows, 1]`. */
  readonly experts?: string;
}

/** A product with a weight, as {@link productLayer} takes it. */
export interface WeightProduct extends Pick<Layer, 'kind' | 'node' | 'nodes' | 'input' | 'arrange'> {
  readonly stored: StoredWeight;
  readonly layout: WeightLayout;
  /** Where it has one of its own. */
  readonly bias?: LayerBias | undefined;
  /** How many dimensions of the product follow the outputs' own; none by default. */
  readonly behind?: number;
  /** How many outputs it has. */
  readonly out: number;
}

/** The layer of a product, with what stands around it: its input is what is rounded before it, its bias may be an Add behind it. */
export function productLayer(product: WeightProduct, index: GraphIndex): Layer {
  const { kind, node, stored, layout, arrange, out, behind = 0 } = product;
  const rounded = beforeRounding(product.input, index);
  const scaled = scaledRows(rounded, product.nodes.at(-1)!.output![0]!, index);
  const scaledNodes = [...product.nodes, ...(scaled ? [scaled.behind] : [])];
  const rounding = roundingBehind(scaledNodes.at(-1)!.output![0]!, index);
  const nodes = [...scaledNodes, ...(rounding ?? [])];
  const yielded = nodes.at(-1)!.output![0]!;
  const bias = product.bias ?? addedBias(yielded, out, index, behind);
  const isBehind = bias && bias.node !== node && !bias.inside;
  return {
    kind,
    node,
    nodes,
    input: scaled?.before ?? rounded,
    product: yielded,
    output: isBehind ? bias.node.output![0]! : yielded,
    weight: { name: stored.name, layout, stored },
    ...(bias ? { bias } : {}),
    weightShape: layout === 'in-out' ? stored.dims.toReversed() : stored.dims,
    ...(arrange ? { arrange } : {}),
  };
}

/** Finds the layer that a node is, or says how it differs. */
export type LayerFinder = (node: NodeProto, index: ExplainedIndex) => Layer | undefined;

/** The weight and the operand of a node, by their positions; undefined where it has no constant weight. */
export function operands(
  node: NodeProto,
  index: GraphIndex,
  at: { readonly input: number; readonly weight: number },
): { readonly input: string; readonly stored: StoredWeight } | undefined {
  const input = node.input?.[at.input];
  const stored = constantWeight(node.input?.[at.weight], index);
  return input && stored ? { input, stored } : undefined;
}

/** The node's own bias, input `at`, when it is constant and has one number per output. */
export function ownBias(node: NodeProto, index: GraphIndex, at: number, out: number): LayerBias | undefined {
  const stored = constantWeight(node.input?.[at], index);
  if (stored?.dims.at(-1) !== out || weightSize(stored) !== out) return undefined;
  return { name: stored.name, stored, node, index: at };
}

/** Which input the layer's own node adds to its product: the bias, or whatever else there is. */
export function addendOf({ node, bias }: Layer): number | undefined {
  if (bias?.node === node) return bias.index;
  const at = { Gemm: 2, MatMulNBits: 5 }[node.opType ?? ''];
  return at !== undefined && node.input?.[at] ? at : undefined;
}

/** The last of a layer's nodes: what it yields, its bias added. */
export function lastNode({ node, nodes, bias }: Layer): NodeProto {
  return bias && bias.node !== node && !bias.inside ? bias.node : nodes.at(-1)!;
}

/** The only use of a value that is no output of a graph. */
export function soleUse(value: string, index: GraphIndex): Use | undefined {
  const [use, another] = index.uses.get(value) ?? [];
  return use && !another && !index.outputs.has(value) ? use : undefined;
}

/**
 * The Add behind a product whose other operand is a constant with one number per output, when it alone reads the product.
 *
 * @param behind how many dimensions follow the outputs' own
 */
function addedBias(product: string, out: number, index: GraphIndex, behind = 0): LayerBias | undefined {
  const use = soleUse(product, index);
  if (use?.node.opType !== 'Add') return undefined;
  const at = 1 - use.index;
  const stored = constantWeight(use.node.input?.[at], index);
  if (!stored) return undefined;
  const { dims } = stored;
  const trailing = dims.slice(dims.length - behind);
  const rest = dims.slice(0, dims.length - behind);
  const fits = rest.at(-1) === out && rest.slice(0, -1).every((dim) => dim === 1) && trailing.every((dim) => dim === 1);
  return dims.length > behind && fits ? { name: stored.name, stored, node: use.node, index: at } : undefined;
}

/** The value that a fake-quantised value was made from: what a layer reads before its input is rounded. */
export function beforeRounding(value: string, index: GraphIndex): string {
  const dequantize = index.producer.get(value);
  if (dequantize?.opType !== 'DequantizeLinear') return value;
  const quantize = index.producer.get(dequantize.input?.[0] ?? '');
  return quantize?.opType === 'QuantizeLinear' ? (quantize.input?.[0] ?? value) : value;
}

/**
 * Of a product whose input's rows are divided by their largest magnitudes before they are rounded, and multiplied by these
 * again behind it: the value before, and the Mul.
 */
function scaledRows(
  input: string,
  product: string,
  index: GraphIndex,
): { readonly before: string; readonly behind: NodeProto } | undefined {
  const [division, use] = [index.producer.get(input), soleUse(product, index)];
  if (division?.opType !== 'Div' || use?.node.opType !== 'Mul') return undefined;
  const [before, rows] = division.input!;
  const isSame = use.node.input![1 - use.index] === rows;
  return isSame && isLargestOfRows(rows!, before!, (name) => index.producer.get(name))
    ? { before: before!, behind: use.node }
    : undefined;
}

/** The nodes that round a product to the integers in which it is passed on, and back: what is yielded lies behind them. */
export function roundingBehind(product: string, index: GraphIndex): readonly [NodeProto, NodeProto] | undefined {
  const quantize = soleUse(product, index)?.node;
  if (quantize?.opType !== 'QuantizeLinear') return undefined;
  const dequantize = soleUse(quantize.output![0]!, index)?.node;
  return dequantize?.opType === 'DequantizeLinear' ? [quantize, dequantize] : undefined;
}
