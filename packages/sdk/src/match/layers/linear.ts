/** @file Linear layers: MatMul with the weight on either side, Gemm, MatMulNBits, MatMulInteger, Einsum. */

import type { NodeProto } from '../../graph/proto.ts';
import { type GraphIndex, stringAttribute, type Use } from '../../graph/walk.ts';
import { differs, type ExplainedIndex, nodeLabel } from '../mismatch.ts';
import {
  bnb4Weight,
  constantWeight,
  namedConstant,
  nBitsWeight,
  quantizedWeight,
  type StoredWeight,
} from '../weights/index.ts';
import {
  type Layer,
  type LayerBias,
  type LayerFinder,
  operands,
  ownBias,
  productLayer,
  soleUse,
  type WeightProduct,
} from './layer.ts';
import { attributeOf, equationOf } from '../../ops/schema.ts';

function linear(product: Omit<WeightProduct, 'kind' | 'out'>, index: GraphIndex): Layer {
  const [rows, columns] = product.stored.dims as [number, number];
  return productLayer({ kind: 'linear', ...product, out: product.layout === 'in-out' ? columns : rows }, index);
}

/** MatMul of a value with a constant matrix. */
export const matMul: LayerFinder = (node, index) => {
  const found = node.opType === 'MatMul' ? operands(node, index, { input: 0, weight: 1 }) : undefined;
  if (!found) return undefined;
  if (found.stored.dims.length !== 2)
    return differs(index, () => `has a weight of ${found.stored.dims.length} dimensions`);
  return linear({ node, nodes: [node], ...found, layout: 'in-out' }, index);
};

/** MatMul of a constant matrix `[out, in]` with a value `[in, ...]` or `[batch, in, positions]`. */
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

/** Gemm with the weight as its second operand. */
export const gemm: LayerFinder = (node, index) => {
  if (node.opType !== 'Gemm') return undefined;
  if (attributeOf(node, 'transA') === 1) return differs(index, () => 'transposes its input');
  if (attributeOf(node, 'alpha') !== 1 || attributeOf(node, 'beta') !== 1)
    return differs(index, () => 'scales its product or its bias (alpha, beta)');
  const found = operands(node, index, { input: 0, weight: 1 });
  if (!found && constantWeight(node.input?.[0], index))
    return differs(index, () => 'has the constant as its first operand');
  if (found?.stored.dims.length !== 2) return undefined;
  const layout = attributeOf(node, 'transB') === 1 ? 'out-in' : 'in-out';
  const out = found.stored.dims[layout === 'out-in' ? 0 : 1]!;
  return linear({ node, nodes: [node], ...found, layout, bias: ownBias(node, index, 2, out) }, index);
};

const packedProduct =
  (opType: string, weightOf: typeof nBitsWeight, biasAt: number): LayerFinder =>
  (node, index) => {
    const input = node.opType === opType ? node.input?.[0] : undefined;
    const stored = input ? weightOf(node, index) : undefined;
    if (!input || !stored) return undefined;
    const bias = ownBias(node, index, biasAt, stored.dims[0]!);
    return linear({ node, nodes: [node], input, stored, layout: 'out-in', bias }, index);
  };

/** ONNX Runtime's MatMulNBits: blockwise 2-, 4- or 8-bit weights. */
export const matMulNBits: LayerFinder = packedProduct('MatMulNBits', nBitsWeight, 5);

/** ONNX Runtime's MatMulBnb4: 4-bit weights of bitsandbytes, without a bias. */
export const matMulBnb4: LayerFinder = packedProduct('MatMulBnb4', bnb4Weight, Infinity);

/** Dynamically quantized MatMul: DynamicQuantizeLinear, MatMulInteger, Cast, Mul. Its input is the float value. */
export const matMulInteger: LayerFinder = (node, index) => {
  const found = integerProduct(node, 'MatMulInteger', index);
  if (!found) return undefined;
  const [, columns, ...more] = found.codes.tensor.dims ?? [];
  const stored = columns && more.length === 0 ? integerWeight(found, (position) => position % columns) : undefined;
  return stored && linear({ node, ...found, stored, layout: 'in-out' }, index);
};

/** The weight of an integer product; `groupOf` maps positions to scales. */
export function integerWeight(
  { codes, scales, zeros, support }: IntegerProduct,
  groupOf: (position: number) => number,
): StoredWeight | undefined {
  const dims = codes.tensor.dims ?? [];
  const parts = { codes, scales, ...(zeros ? { zeros } : {}), dims, support };
  return quantizedWeight(codes.name, [], { ...parts, groupOf: isSingle(scales) ? () => 0 : groupOf });
}

type NamedConstant = NonNullable<ReturnType<typeof namedConstant>>;

/** An integer product with a constant weight. */
export interface IntegerProduct {
  readonly input: string;
  readonly codes: NamedConstant;
  readonly scales: NamedConstant;
  readonly zeros?: NamedConstant;
  readonly nodes: readonly NodeProto[];
  readonly bias?: LayerBias;
  /** Nodes that multiply the weight's scale with the input's. */
  readonly support: readonly NodeProto[];
}

/** Matches an integer product with a constant weight; undefined if the pattern differs. */
export function integerProduct(
  node: NodeProto,
  opType: 'MatMulInteger' | 'ConvInteger',
  index: ExplainedIndex,
): IntegerProduct | undefined {
  if (node.opType !== opType) return undefined;
  const differsBy = (how: () => string): undefined =>
    differs(index, () => `multiplies integers that are quantised or scaled in a way that is not read: ${how()}`);
  const quantize = index.producer.get(node.input?.[0] ?? '');
  const [codes, zeros] = [namedConstant(node.input?.[1], index), namedConstant(node.input?.[3], index)];
  if (!codes) return undefined;
  if (quantize?.opType !== 'DynamicQuantizeLinear')
    return differsBy(() => `operand 0 is no output of DynamicQuantizeLinear${quantize ? `, but of ${nodeLabel(quantize)}` : ''}`); // prettier-ignore
  if (node.input?.[3] && !zeros) return differsBy(() => 'operand 3, the zero point, is no constant');
  const added = soleUse(node.output![0]!, index);
  const rounded = added?.node.opType === 'Add' ? roundedBias(added, index) : undefined;
  const cast = rounded ? soleUse(rounded.bias.inside!.output![0]!, index)?.node : added?.node;
  const scaled = cast?.opType === 'Cast' ? soleUse(cast.output![0]!, index) : undefined;
  if (!cast || scaled?.node.opType !== 'Mul')
    return differsBy(
      () => `${nodeLabel(cast ?? node)} is not read by one ${cast?.opType === 'Cast' ? 'Mul' : 'Cast'} alone`,
    );
  const both = index.producer.get(scaled.node.input![1 - scaled.index]!);
  const scales = scaleBeside(both, quantize, index);
  if (!scales || !quantize.input?.[0])
    return differsBy(
      () => `operand ${1 - scaled.index} of ${nodeLabel(scaled.node)} is not the scale of the input times a constant`,
    );
  // The bias must be quantized with the scale that its sum is multiplied by.
  if (rounded && scaleBeside(rounded.scaling, quantize, index)?.name !== scales.name)
    return differsBy(() => `${nodeLabel(added!.node)} adds a bias that is rounded to another scale`);
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

/** The constant that a Mul multiplies with the scale of quantized inputs. */
function scaleBeside(node: NodeProto | undefined, quantize: NodeProto, index: GraphIndex): NamedConstant | undefined {
  const at = node?.opType === 'Mul' ? node.input!.indexOf(quantize.output![1]!) : -1;
  return at < 0 ? undefined : namedConstant(node!.input![1 - at], index);
}

/** The bias of an integer Add, quantized by nodes: `Cast(Floor(bias ÷ scale))`, perhaps reshaped. */
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

/** Whether a constant has one element. */
export function isSingle({ tensor }: NamedConstant): boolean {
  return (tensor.dims ?? []).every((dim) => dim === 1);
}

/** Einsum of a value with a constant matrix, summed over one label. */
export const einsum: LayerFinder = (node, index) => {
  if (node.opType !== 'Einsum' || node.input?.length !== 2) return undefined;
  const at = constantWeight(node.input[1], index) ? { input: 0, weight: 1 } : { input: 1, weight: 0 };
  const found = operands(node, index, at);
  if (found?.stored.dims.length !== 2) return undefined;
  const differsBy = (how: string): undefined =>
    differs(
      index,
      () => `has the equation ${stringAttribute(node, 'equation', '')}, but a linear layer has another: ${how}`,
    );
  const labels = einsumLabels(node, at);
  if (labels?.weight.length !== 2) return differsBy('it has an ellipsis, or a label twice in one operand');
  const { x, weight, y } = labels;
  const summed = [...weight].find((label) => x.includes(label) && !y.includes(label));
  const kept = [...weight].find((label) => label !== summed);
  if (!summed || !kept || x.includes(kept) || !y.includes(kept))
    return differsBy('one label of the weight must be summed with the input, and the other be in the result alone');
  const [rows, outs] = [x.replace(summed, ''), y.replace(kept, '')];
  const [missing] = [...rows].filter((label) => !outs.includes(label));
  if (missing) return differsBy(`the label ${missing} of the input is summed, but the weight does not have it`);
  if (rows.length !== outs.length) return differsBy('the result has a label that no operand has');
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
