/** @file Linear layers: MatMul with the weight on either side, Gemm, MatMulNBits, MatMulInteger, Einsum. */

import type { NodeProto } from '../../graph/proto.ts';
import { type GraphIndex, type Use, floatAttribute } from '../../graph/walk.ts';
import {
  bnb4Weight,
  constantWeight,
  namedConstant,
  nBitsWeight,
  quantizedWeight,
  type StoredWeight,
} from '../weights/index.ts';
import {
  addedBias,
  beforeRounding,
  type Layer,
  type LayerBias,
  type LayerFinder,
  operands,
  ownBias,
  roundingBehind,
  soleUse,
  type WeightLayout,
} from './layer.ts';
import { attributeOf, equationOf } from '../../ops/schema.ts';

interface Product {
  readonly node: NodeProto;
  readonly nodes: readonly NodeProto[];
  readonly input: string;
  readonly stored: StoredWeight;
  readonly layout: WeightLayout;
  readonly bias?: LayerBias | undefined;
  readonly arrange?: Layer['arrange'];
  /** How many dimensions of the product follow the outputs' own. */
  readonly behind?: number;
}

function linear(product: Product, index: GraphIndex): Layer | undefined {
  const { node, stored, layout, arrange, behind = 0 } = product;
  const [rows, columns] = stored.dims as [number, number];
  const weightShape = layout === 'in-out' ? [columns, rows] : [rows, columns];
  const own = product.nodes.at(-1)!.output![0]!;
  const rounding = roundingBehind(own, index);
  const nodes = rounding ? [...product.nodes, ...rounding] : product.nodes;
  const yielded = nodes.at(-1)!.output![0]!;
  const bias = product.bias ?? addedBias(yielded, weightShape[0]!, index, behind);
  const isBehind = bias && bias.node !== node && !bias.inside;
  return {
    kind: 'linear',
    node,
    nodes,
    input: beforeRounding(product.input, index),
    product: yielded,
    output: isBehind ? bias.node.output![0]! : yielded,
    weight: { name: stored.name, layout, stored },
    ...(bias ? { bias } : {}),
    weightShape,
    ...(arrange ? { arrange } : {}),
  };
}

/** MatMul of a value and a constant matrix. */
export const matMul: LayerFinder = (node, index) => {
  if (node.opType !== 'MatMul') return undefined;
  const found = operands(node, index, { input: 0, weight: 1 });
  if (found?.stored.dims.length !== 2) return undefined;
  return linear({ node, nodes: [node], ...found, layout: 'in-out' }, index);
};

/** MatMul of a constant matrix `[out, in]` and a value `[in, ...]` or `[batch, in, positions]`. */
export const matMulFromLeft =
  (rankOf: (value: string) => number | undefined): LayerFinder =>
  (node, index) => {
    if (node.opType !== 'MatMul') return undefined;
    const found = operands(node, index, { input: 1, weight: 0 });
    const rank = found && rankOf(found.input);
    if (found?.stored.dims.length !== 2 || rank === undefined || rank < 2) return undefined;
    const swapped = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
    return linear(
      { node, nodes: [node], ...found, layout: 'out-in', arrange: { input: swapped, output: swapped }, behind: 1 },
      index,
    );
  };

/** Gemm with the weight as second operand. */
export const gemm: LayerFinder = (node, index) => {
  if (node.opType !== 'Gemm' || attributeOf(node, 'transA') === 1) return undefined;
  if (floatAttribute(node, 'alpha', 1) !== 1 || floatAttribute(node, 'beta', 1) !== 1) return undefined;
  const found = operands(node, index, { input: 0, weight: 1 });
  if (found?.stored.dims.length !== 2) return undefined;
  const layout = attributeOf(node, 'transB') === 1 ? 'out-in' : 'in-out';
  const out = found.stored.dims[layout === 'out-in' ? 0 : 1]!;
  return linear({ node, nodes: [node], ...found, layout, bias: ownBias(node, index, 2, out) }, index);
};

/** ONNX Runtime's product with a weight of 2, 4 or 8 bits in blocks. */
export const matMulNBits: LayerFinder = (node, index) => {
  if (node.opType !== 'MatMulNBits') return undefined;
  const [input] = node.input ?? [];
  const stored = nBitsWeight(node, index);
  if (!input || !stored) return undefined;
  return linear(
    { node, nodes: [node], input, stored, layout: 'out-in', bias: ownBias(node, index, 5, stored.dims[0]!) },
    index,
  );
};

/** ONNX Runtime's product with a weight in the 4-bit floats of bitsandbytes. */
export const matMulBnb4: LayerFinder = (node, index) => {
  if (node.opType !== 'MatMulBnb4') return undefined;
  const [input] = node.input ?? [];
  const stored = bnb4Weight(node, index);
  return input && stored ? linear({ node, nodes: [node], input, stored, layout: 'out-in' }, index) : undefined;
};

/**
 * Integers multiplied, then scaled: DynamicQuantizeLinear, MatMulInteger, Cast, and Mul with the product of both scales.
 * The layer's input is what is quantised.
 */
export const matMulInteger: LayerFinder = (node, index) => {
  const found = integerProduct(node, 'MatMulInteger', index);
  if (!found) return undefined;
  const dims = found.codes.tensor.dims ?? [];
  const [, columns] = dims;
  if (dims.length !== 2 || columns === undefined) return undefined;
  const stored = quantizedWeight(found.codes.name, [], {
    codes: found.codes,
    scales: found.scales,
    ...(found.zeros ? { zeros: found.zeros } : {}),
    dims,
    groupOf: isSingle(found.scales) ? () => 0 : (position) => position % columns,
    support: found.support,
  });
  if (!stored) return undefined;
  const { nodes, input, bias } = found;
  return linear({ node, nodes, input, stored, layout: 'in-out', ...(bias ? { bias } : {}) }, index);
};

type NamedConstant = NonNullable<ReturnType<typeof namedConstant>>;

/** The parts of a product of integers with a constant. */
export interface IntegerProduct {
  readonly input: string;
  readonly codes: NamedConstant;
  readonly scales: NamedConstant;
  readonly zeros?: NamedConstant;
  readonly nodes: readonly NodeProto[];
  /** A bias that is added as integers. */
  readonly bias?: LayerBias;
  /** What reads the weight's scale elsewhere: its products with the input's. */
  readonly support: readonly NodeProto[];
}

/** The parts of a product of integers with a constant; undefined where the pattern is another. */
export function integerProduct(
  node: NodeProto,
  opType: 'MatMulInteger' | 'ConvInteger',
  index: GraphIndex,
): IntegerProduct | undefined {
  if (node.opType !== opType) return undefined;
  const quantize = index.producer.get(node.input?.[0] ?? '');
  const [codes, zeros] = [namedConstant(node.input?.[1], index), namedConstant(node.input?.[3], index)];
  if (quantize?.opType !== 'DynamicQuantizeLinear' || !codes || (node.input?.[3] && !zeros)) return undefined;
  const added = soleUse(node.output![0]!, index);
  const rounded = added?.node.opType === 'Add' ? roundedBias(added, index) : undefined;
  const cast = rounded ? soleUse(rounded.bias.inside!.output![0]!, index)?.node : added?.node;
  const scaled = cast?.opType === 'Cast' ? soleUse(cast.output![0]!, index) : undefined;
  if (!cast || scaled?.node.opType !== 'Mul') return undefined;
  const both = index.producer.get(scaled.node.input![1 - scaled.index]!);
  const scales = scaleBeside(both, quantize, index);
  if (!scales || !quantize.input?.[0]) return undefined;
  // The bias is rounded to the scale that its sum is multiplied by.
  if (rounded && scaleBeside(rounded.scaling, quantize, index)?.name !== scales.name) return undefined;
  return {
    input: quantize.input[0],
    codes,
    scales,
    ...(zeros ? { zeros } : {}),
    nodes: [node, ...(rounded ? [rounded.bias.inside!] : []), cast, scaled.node],
    ...(rounded ? { bias: rounded.bias } : {}),
    support: [both!, ...(rounded ? [rounded.scaling] : [])],
  };
}

/** The constant that a Mul multiplies with the scale of quantised inputs. */
function scaleBeside(node: NodeProto | undefined, quantize: NodeProto, index: GraphIndex): NamedConstant | undefined {
  const at = node?.opType === 'Mul' ? node.input!.indexOf(quantize.output![1]!) : -1;
  return at < 0 ? undefined : namedConstant(node!.input![1 - at], index);
}

/** The bias that an Add of integers reads, which other nodes round for it: `Cast(Floor(bias ÷ scale))`, perhaps reshaped. */
function roundedBias(
  { node: inside, index: at }: Use,
  index: GraphIndex,
): { readonly bias: LayerBias; readonly scaling: NodeProto } | undefined {
  const made = (name: string | undefined, ...types: readonly string[]): NodeProto | undefined => {
    const node = index.producer.get(name ?? '');
    return node && types.includes(node.opType!) && soleUse(name!, index) ? node : undefined;
  };
  const other = inside.input![1 - at];
  const cast = made(made(other, 'Reshape', 'Unsqueeze')?.input?.[0] ?? other, 'Cast');
  const division = made(made(cast?.input?.[0], 'Floor', 'Round')?.input?.[0], 'Div');
  const stored = constantWeight(division?.input?.[0], index);
  const scaling = index.producer.get(division?.input?.[1] ?? '');
  if (!stored || !scaling) return undefined;
  return { bias: { name: stored.name, stored, node: division!, index: 0, inside }, scaling };
}

/** Whether a constant is one number. */
export function isSingle({ tensor }: NamedConstant): boolean {
  return (tensor.dims ?? []).every((dim) => dim === 1);
}

/** Einsum of a value and a constant matrix, summed over one label. */
export const einsum: LayerFinder = (node, index) => {
  if (node.opType !== 'Einsum' || node.input?.length !== 2) return undefined;
  const at = constantWeight(node.input[1], index) ? { input: 0, weight: 1 } : { input: 1, weight: 0 };
  const found = operands(node, index, at);
  const labels = einsumLabels(node, at);
  if (found?.stored.dims.length !== 2 || !labels || labels.weight.length !== 2) return undefined;
  const { x, weight, y } = labels;
  const summed = [...weight].find((label) => x.includes(label) && !y.includes(label));
  const kept = [...weight].find((label) => label !== summed);
  if (!summed || !kept || x.includes(kept) || !y.includes(kept)) return undefined;
  const [rows, outs] = [x.replace(summed, ''), y.replace(kept, '')];
  if (rows.length + 1 !== x.length || [...rows].sort().join('') !== [...outs].sort().join('')) return undefined;
  const input = [...rows, summed].map((label) => x.indexOf(label));
  const output = [...y].map((label) => (label === kept ? rows.length : rows.indexOf(label)));
  const inOrder = [input, output].every((perm) => perm.every((axis, i) => axis === i));
  return linear(
    {
      node,
      nodes: [node],
      ...found,
      layout: weight[0] === kept ? 'out-in' : 'in-out',
      ...(inOrder ? {} : { arrange: { input, output } }),
      behind: y.length - 1 - y.indexOf(kept),
    },
    index,
  );
};

/** The labels of an Einsum's value, weight and result; undefined for an ellipsis or a repeated label. */
export function einsumLabels(
  node: NodeProto,
  at: { readonly input: number; readonly weight: number },
): { readonly x: string; readonly weight: string; readonly y: string } | undefined {
  const { terms, result: y, isWritten } = equationOf(node);
  const [x, weight] = [terms[at.input], terms[at.weight]];
  if (terms.length !== 2 || !x || !weight || !isWritten) return undefined;
  const isPlain = (labels: string): boolean => /^[A-Za-z]+$/.test(labels) && new Set(labels).size === labels.length;
  return [x, weight, y].every(isPlain) ? { x, weight, y } : undefined;
}
