/** @file Replaces inputs that a composed model lacks, such as the past of a decoder, by values in the graph. */

import { OnnxLoraError } from '../../errors.ts';
import { attributeProto } from '../../graph/attributes.ts';
import { byteCount, dataTypeName } from '../../graph/dataType.ts';
import {
  attributeType,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from '../../graph/proto.ts';
import { tensorProto } from '../../graph/tensorData.ts';
import { withInner } from '../../graph/uniqueNames.ts';
import { int64 } from '../../runtime/tensor.ts';
import { axisOf } from '../schema.ts';

/** Most elements of a replaced input: a flag has one, an empty past none. */
const MOST = 64;

/**
 * Replaces inputs by false, 0 or empty tensors, with dynamic dimensions of 0, unless another input such as the batch
 * has them. Skips concatenations with an empty past.
 * @throws OnnxLoraError `MODEL_UNSUPPORTED` for an input of unknown type or shape, or with meaningful elements
 */
export function withIdleInputs(
  model: ModelProto & { readonly graph: GraphProto },
  idle: RegExp | undefined,
): ModelProto & { graph: GraphProto } {
  const { graph } = model;
  const found = idleInputsOf(graph, idle);
  if (found.length === 0) return model;
  const input = (graph.input ?? []).filter((info) => !found.includes(info));
  const made = found.map((info) => madeFrom(info, input));
  const whole = {
    ...graph,
    input,
    node: [...made.flatMap(({ node = [] }) => node), ...(graph.node ?? [])],
    initializer: [...(graph.initializer ?? []), ...made.flatMap(({ initializer = [] }) => initializer)],
  };
  return { ...model, graph: withoutPast(whole, new Map(found.map((info) => [info.name!, dimsOf(info)!]))) };
}

/** The inputs that a composed model lacks. */
export function idleInputsOf({ input = [] }: GraphProto, idle: RegExp | undefined): readonly ValueInfoProto[] {
  return idle ? input.filter(({ name = '' }) => idle.test(name)) : [];
}

/** Dimensions of an input; dynamic ones are names. */
function dimsOf({ type }: ValueInfoProto): readonly (number | string)[] | undefined {
  return type?.tensorType?.shape?.dim?.map(({ dimValue, dimParam = '' }) => dimValue ?? dimParam);
}

/** A constant for an idle input, or nodes if it shares a dimension with another. */
function madeFrom(info: ValueInfoProto, inputs: readonly ValueInfoProto[]): Pick<GraphProto, 'node' | 'initializer'> {
  const { name = '', type } = info;
  const dataType = type?.tensorType?.elemType;
  const sizes = dimsOf(info)?.map((size) => {
    const [like] = typeof size === 'string' && size !== '' ? inputs.filter((each) => dimsOf(each)?.includes(size)) : [];
    return like ? { of: like.name!, axis: dimsOf(like)!.indexOf(size) } : typeof size === 'number' ? size : 0;
  });
  const dims = sizes?.map((size) => (typeof size === 'number' ? size : 1));
  const count = dims?.reduce((product, dim) => product * dim, 1) ?? Infinity;
  const isShared = sizes?.some((size) => typeof size !== 'number');
  if (!dims || dataType === undefined || !dataTypeName(dataType) || count > MOST || (isShared && count > 0))
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The input "${name}" should be left out of the joined model, but it is no flag and no empty tensor. Use a file without it.`,
    );
  const zeros = (own: readonly number[], size: number): TensorProto => ({ name, dims: [...own], dataType, rawData: new Uint8Array(byteCount(dataType, size)!) }); // prettier-ignore
  return isShared ? emptyNodes(name, sizes!, zeros([1], 1)) : { initializer: [zeros(dims, count)] };
}

interface SharedSize {
  readonly of: string;
  readonly axis: number;
}

function emptyNodes(
  name: string,
  sizes: readonly (number | SharedSize)[],
  value: TensorProto,
): Required<Pick<GraphProto, 'node' | 'initializer'>> {
  const node: NodeProto[] = [];
  const initializer: TensorProto[] = [];
  const parts = sizes.map((size, i) => {
    const part = `${name}/size_${i}`;
    const at = typeof size === 'number' ? part : `${part}/axis`;
    initializer.push(tensorProto(at, int64([typeof size === 'number' ? size : size.axis], [1])));
    if (typeof size === 'number') return part;
    node.push({ opType: 'Shape', input: [size.of], output: [`${part}/shape`] });
    node.push({ opType: 'Gather', input: [`${part}/shape`, at], output: [part] });
    return part;
  });
  const shape = `${name}/shape`;
  node.push({ opType: 'Concat', input: parts, output: [shape], attribute: [attributeProto('axis', 0)] }); // prettier-ignore
  node.push({ opType: 'ConstantOfShape', input: [shape], output: [name], attribute: [{ name: 'value', type: attributeType.tensor, t: value }] }); // prettier-ignore
  return { node, initializer };
}

/** Removes empty pasts from Concats along their dynamic axis. */
function withoutPast(graph: GraphProto, pasts: ReadonlyMap<string, readonly (number | string)[]>): GraphProto {
  const plain = (node: NodeProto): NodeProto => {
    const own = withInner(node, (inner) => withoutPast(inner, pasts));
    if (own.opType !== 'Concat') return own;
    const rest = (own.input ?? []).filter((name) => {
      const dims = pasts.get(name);
      return !dims || typeof dims[axisOf(own, dims.length)] === 'number';
    });
    if (rest.length === own.input?.length || rest.length === 0) return own;
    return rest.length > 1 ? { ...own, input: rest } : { ...own, opType: 'Identity', input: rest, attribute: [] };
  };
  return { ...graph, node: (graph.node ?? []).map(plain) };
}
