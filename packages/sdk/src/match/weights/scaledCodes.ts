/** @file Weights of quantizers that use standard operators: integers cast to floats, times scales. */

import type { NodeProto } from '../../graph/proto.ts';
import { type GraphIndex, intAttribute } from '../../graph/walk.ts';
import { sizeOf } from '../../runtime/tensor.ts';
import { holdsCodes, namedConstant, quantizedWeight } from './dequantizeLinear.ts';
import { floatType } from './plain.ts';
import type { NamedTensor, StoredWeight } from './stored.ts';

interface Counted {
  readonly codes: NamedTensor;
  readonly zeros?: NamedTensor;
  readonly nodes: readonly NodeProto[];
}

/** The weight `Cast(codes) · scales` or `(Cast(codes) − zeros) · scales` of a Mul; undefined for other products. */
export function scaledCodes(node: NodeProto, index: GraphIndex): StoredWeight | undefined {
  if (node.opType !== 'Mul') return undefined;
  for (const at of [0, 1]) {
    const counted = countedCodes(node.input?.[at], index);
    const scales = counted && namedConstant(node.input?.[1 - at], index);
    if (!scales) continue;
    const { codes, zeros, nodes } = counted;
    const dims = codes.tensor.dims ?? [];
    const scaleDims = scales.tensor.dims ?? [];
    const groupOf = broadcasting(scaleDims, dims);
    const zeroSize = sizeOf(zeros?.tensor.dims ?? []);
    const fits = zeroSize === 1 || aligned(zeros!.tensor.dims!, dims) === aligned(scaleDims, dims);
    if (!groupOf || !fits) return undefined;
    return quantizedWeight(node.output![0]!, [...nodes, node], { codes, scales, ...(zeros ? { zeros } : {}), dims, groupOf }); // prettier-ignore
  }
  return undefined;
}

function countedCodes(name: string | undefined, index: GraphIndex): Counted | undefined {
  const node = name === undefined ? undefined : index.producer.get(name);
  if (node?.opType !== 'Sub') return castCodes(node, index);
  const [left, right] = node.input ?? [];
  const minuend = castCodes(index.producer.get(left ?? ''), index);
  if (!minuend) return undefined;
  const zeros = namedConstant(right, index);
  if (zeros) return floatType(zeros.tensor.dataType) && { ...minuend, zeros, nodes: [...minuend.nodes, node] };
  const cast = castCodes(index.producer.get(right ?? ''), index);
  return cast && { ...minuend, zeros: cast.codes, nodes: [...cast.nodes, ...minuend.nodes, node] };
}

function castCodes(node: NodeProto | undefined, index: GraphIndex): Counted | undefined {
  if (node?.opType !== 'Cast' || !floatType(intAttribute(node, 'to', 0))) return undefined;
  const codes = namedConstant(node.input?.[0], index);
  return codes && holdsCodes(codes.tensor) ? { codes, nodes: [node] } : undefined;
}

function aligned(dims: readonly number[], against: readonly number[]): string {
  return [...against.slice(dims.length).map(() => 1), ...dims].join();
}

/** Maps positions of `dims` to elements of `own`; undefined if `own` does not broadcast into `dims`. */
function broadcasting(own: readonly number[], dims: readonly number[]): ((position: number) => number) | undefined {
  const offset = dims.length - own.length;
  if (offset < 0 || own.some((size, i) => size !== 1 && size !== dims[offset + i])) return undefined;
  // Strides of each dimension in the codes and in the scales; 0 for broadcast dimensions.
  const steps = own.flatMap((size, i) =>
    size === 1 ? [] : [{ size, inner: sizeOf(dims.slice(offset + i + 1)), step: sizeOf(own.slice(i + 1)) }],
  );
  return (position) =>
    steps.reduce((at, { size, inner, step }) => at + (Math.floor(position / inner) % size) * step, 0);
}
