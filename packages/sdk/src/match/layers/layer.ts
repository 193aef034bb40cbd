/** @file A layer of a graph before it has a module path. */

import type { NodeProto } from '../../graph/proto.ts';
import type { GraphIndex, Use } from '../../graph/walk.ts';
import type { ExplainedIndex } from '../mismatch.ts';
import { constantWeight, type StoredWeight } from '../weights/index.ts';
import { weightSize } from '../weights/stored.ts';
import { isLargestOfRows } from '../../ops/quantization/forms.ts';

/** Kind of torch module. A `parameter` is a bare one (stacked experts, LSTM), matched only by `targetParameters`. */
export type SiteKind =
  'linear' | 'conv1d' | 'conv2d' | 'conv3d' | 'convTranspose1d' | 'convTranspose2d' | 'embedding' | 'parameter';

/** Layout of the weight in the graph: `[out, in]` as in torch's Linear, or transposed. */
export type WeightLayout = 'out-in' | 'in-out' | 'torch';

/** Permutations that move a linear layer's features last, and back. */
export interface Arrangement {
  /** Applied to the input: moves its features last. */
  readonly input: readonly number[];
  /** Applied to the low-rank product: moves the features back. */
  readonly output: readonly number[];
}

/** A layer's bias, and where it is read. */
export interface LayerBias {
  /** Name of the value. */
  readonly name: string;
  /** The stored tensor. */
  readonly stored: StoredWeight;
  /** The product's own node, or an Add behind it. */
  readonly node: NodeProto;
  /** Index of the bias among the node's inputs. */
  readonly index: number;
  /** The integer Add inside a quantized product, if the bias is rounded first; `node` is then its float counterpart. */
  readonly inside?: NodeProto;
}

/** A linear layer, convolution or embedding. */
export interface Layer {
  /** Kind of the layer. */
  readonly kind: SiteKind;
  /** The node that reads the weight: MatMul, Gemm, Conv, Gather … */
  readonly node: NodeProto;
  /** The nodes of the product, starting with `node`; several for a scaled integer product. */
  readonly nodes: readonly NodeProto[];
  /** The layer's input: `[..., in]` for a linear layer. */
  readonly input: string;
  /** The product, before a bias added behind it. */
  readonly product: string;
  /** The layer's output, bias included: `[..., out]`. */
  readonly output: string;
  /** The weight: the value that the node reads, its layout, and the stored tensor. */
  readonly weight: { readonly name: string; readonly layout: WeightLayout; readonly stored: StoredWeight };
  /** The layer's bias, if any. */
  readonly bias?: LayerBias;
  /** Shape of the weight in torch: `[out, in]`, `[out, in / groups, ...kernel]`, `[vocabulary, dim]`. */
  readonly weightShape: readonly number[];
  /** Present if the features are not the last dimension. */
  readonly arrange?: Arrangement;
  /** For a `parameter`: the contracted dimension of the weight, 1 or 2. */
  readonly contracted?: 1 | 2;
  /** For a `parameter` of LSTM or GRU: the node's input that holds it, and its index along the first dimension. */
  readonly recurrent?: { readonly input: number; readonly place: number };
  /** For a `parameter`: the Einsum equations of the low-rank product. */
  readonly equations?: readonly [string, string];
  /** For a `parameter` with one expert per row: the value that holds the expert indices, `[rows]` or `[rows, 1]`. */
  readonly experts?: string;
}

/** Input of {@link productLayer}. */
export interface WeightProduct extends Pick<Layer, 'kind' | 'node' | 'nodes' | 'input' | 'arrange'> {
  readonly stored: StoredWeight;
  readonly layout: WeightLayout;
  readonly bias?: LayerBias | undefined;
  /** Number of dimensions after the output dimension; 0 by default. */
  readonly behind?: number;
  readonly out: number;
}

/** Builds the layer of a product: skips rounding of the input, and looks for an Add behind it as its bias. */
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

/** Finds the layer that a node is, or explains why it is none. */
export type LayerFinder = (node: NodeProto, index: ExplainedIndex) => Layer | undefined;

/** The weight and the other operand of a node, by input index; undefined without a constant weight. */
export function operands(
  node: NodeProto,
  index: GraphIndex,
  at: { readonly input: number; readonly weight: number },
): { readonly input: string; readonly stored: StoredWeight } | undefined {
  const input = node.input?.[at.input];
  const stored = constantWeight(node.input?.[at.weight], index);
  return input && stored ? { input, stored } : undefined;
}

/** The node's own bias, input `at`, if it is constant with one number per output. */
export function ownBias(node: NodeProto, index: GraphIndex, at: number, out: number): LayerBias | undefined {
  const stored = constantWeight(node.input?.[at], index);
  if (stored?.dims.at(-1) !== out || weightSize(stored) !== out) return undefined;
  return { name: stored.name, stored, node, index: at };
}

/** Index of the input that the layer's own node adds to its product, such as the bias. */
export function addendInput({ node, bias }: Layer): number | undefined {
  if (bias?.node === node) return bias.index;
  const at = { Gemm: 2, MatMulNBits: 5 }[node.opType ?? ''];
  return at !== undefined && node.input?.[at] ? at : undefined;
}

/** The last node of a layer, bias included. */
export function lastNode({ node, nodes, bias }: Layer): NodeProto {
  return bias && bias.node !== node && !bias.inside ? bias.node : nodes.at(-1)!;
}

/** The only use of a value that is not a graph output. */
export function soleUse(value: string, index: GraphIndex): Use | undefined {
  const [use, another] = index.uses.get(value) ?? [];
  return use && !another && !index.outputs.has(value) ? use : undefined;
}

/** The sole reader of a product, if it adds a constant per output. @param behind dimensions after the output's */
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

/** Skips fake quantization: returns the value before rounding. */
export function beforeRounding(value: string, index: GraphIndex): string {
  const dequantize = index.producer.get(value);
  if (dequantize?.opType !== 'DequantizeLinear') return value;
  const quantize = index.producer.get(dequantize.input?.[0] ?? '');
  return quantize?.opType === 'QuantizeLinear' ? (quantize.input?.[0] ?? value) : value;
}

/** Matches rows scaled to magnitude 1 before quantization and back after the product: value before, last Mul. */
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

/** The QuantizeLinear and DequantizeLinear behind a product. */
export function roundingBehind(product: string, index: GraphIndex): readonly [NodeProto, NodeProto] | undefined {
  const quantize = soleUse(product, index)?.node;
  if (quantize?.opType !== 'QuantizeLinear') return undefined;
  const dequantize = soleUse(quantize.output![0]!, index)?.node;
  return dequantize?.opType === 'DequantizeLinear' ? [quantize, dequantize] : undefined;
}
