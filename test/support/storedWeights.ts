/** @file Stored weights of small graphs, beside what ONNX Runtime computes of the same nodes. */

import { GraphBuilder, type Value } from '../../packages/sdk/src/graph/builder.ts';
import { dataTypeName, dataTypeNumber } from '../../packages/sdk/src/graph/dataType.ts';
import type { ModelProto, TensorProto } from '../../packages/sdk/src/graph/proto.ts';
import { tensorProto } from '../../packages/sdk/src/graph/tensorData.ts';
import { type GraphIndex, indexWhole } from '../../packages/sdk/src/graph/walk.ts';
import { type CodeType, codeType, pack } from '../../packages/sdk/src/match/weights/codes.ts';
import { constantWeight, type NamedTensor, type StoredWeight } from '../../packages/sdk/src/match/weights/index.ts';
import { inferNode } from '../../packages/sdk/src/ops/infer.ts';
import type { Random } from '../../packages/sdk/src/runtime/random.ts';
import { float32, sizeOf, type Tensor, tensor } from '../../packages/sdk/src/runtime/tensor.ts';
import { modelOf, runOnce } from './graphs.ts';

/** ONNX's numbers of integer types. */
export const codeTypes = { uint8: 2, int8: 3, uint16: 4, int16: 5, int32: 6, uint4: 21, int4: 22, uint2: 25, int2: 26 } as const; // prettier-ignore

/** A builder that also makes constants of every type that weights are stored in. */
export class WeightBuilder extends GraphBuilder {
  constructor(opset = 21, prefix = 'g/') {
    super({ opset, infer: inferNode, prefix });
  }

  /** A constant of floats. */
  floats(values: ArrayLike<number>, dims: readonly number[], name?: string): Value {
    return this.add(tensorProto('', float32(Float32Array.from(values), dims)), name);
  }

  /** A constant of integers. */
  codes(type: keyof typeof codeTypes, values: ArrayLike<number>, dims: readonly number[]): Value {
    return this.add(codesTensor(type, values, dims));
  }

  /** Any tensor, under a name of its own. */
  add(proto: TensorProto, name = `w${this.initializers.length}`): Value {
    this.initializers.push({ ...proto, name });
    return { name, type: dataTypeName(proto.dataType), shape: proto.dims };
  }
}

/** Integers as a tensor. */
export function codesTensor(
  type: keyof typeof codeTypes,
  values: ArrayLike<number>,
  dims: readonly number[],
): TensorProto {
  const dataType = codeTypes[type];
  return { dims: [...dims], dataType, rawData: pack(values, codeType(dataType)!) };
}

/** As many random integers of a type as `dims` say. */
export function randomCodes(
  { min, max }: Pick<CodeType, 'min' | 'max'>,
  dims: readonly number[],
  random: Random,
): number[] {
  return Array.from({ length: sizeOf(dims) }, () => min + random.index(max - min + 1));
}

/** A value that is always the same. */
export interface ConstantValue {
  readonly index: GraphIndex;
  /** The weight that it is; undefined where none is seen in it. */
  readonly stored: StoredWeight | undefined;
  /** Its numbers as ONNX Runtime computes them, with these tensors in place of the graph's. */
  readonly computed: (written?: readonly NamedTensor[]) => Promise<Tensor>;
}

/** The value that `build` returns. */
export function constantValue(build: (g: WeightBuilder) => Value, opset = 21): ConstantValue {
  const g = new WeightBuilder(opset);
  const value = build(g);
  const index = indexWhole({ node: g.nodes, initializer: g.initializers });
  return {
    index,
    stored: constantWeight(value.name, index),
    computed: async (written = []) => {
      const cast = new WeightBuilder(opset, 'cast/');
      const output = cast.Cast(value, dataTypeNumber('float32'));
      const model = modelOf({
        opset,
        inputs: [],
        outputs: [output.name],
        nodes: [...g.nodes, ...cast.nodes],
        initializers: g.initializers,
      });
      return (await runOnce(withTensors(model, written), {}))[output.name]!;
    },
  };
}

/** A model with other tensors under the same names. */
export function withTensors(model: ModelProto, written: readonly NamedTensor[]): ModelProto {
  const changed = new Map(written.map(({ name, tensor: proto }) => [name, { ...proto, name }]));
  const initializer = (model.graph!.initializer ?? []).map((each) => changed.get(each.name!) ?? each);
  return { ...model, graph: { ...model.graph!, initializer } };
}

/** Tensors by name, as `StoredWeight.read` takes changes. */
export function asChanges(written: readonly NamedTensor[]): Map<string, TensorProto> {
  return new Map(written.map(({ name, tensor: proto }) => [name, proto]));
}

/** The values of a stored weight, as a tensor. */
export function readTensorOf(stored: StoredWeight, written: readonly NamedTensor[] = []): Tensor {
  return tensor('float32', stored.read(asChanges(written)), stored.dims);
}

/** Random floats over [−1, 1). */
export function randomFloats(dims: readonly number[], random: Random): Float32Array {
  return new Float32Array(sizeOf(dims)).map(() => random.uniform(-1, 1));
}
