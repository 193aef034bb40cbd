/** @file The decoded ONNX messages as plain objects, with the names of onnx.proto in camelCase. */

import type { Bytes } from './bytes.ts';
import type { ValueType } from './value.ts';

/** Fields unknown to this SDK, written back unchanged. */
interface Unknown {
  /** One entry per field, including its tag. */
  unknown?: Bytes[];
}

/** An int64: a number if exact, else a bigint. */
export type Int = number | bigint;

/** A key and its value, in metadata and external data descriptions. */
export interface StringStringEntry extends Unknown {
  /** The key, such as `location`. */
  key?: string;
  /** The value. */
  value?: string;
}

/** A tensor: type, dimensions, and its data in one of several fields or files. Read it with `readTensor`. */
export interface TensorProto extends Unknown {
  /** Name of the value. */
  name?: string;
  /** One size per dimension; empty for a scalar. */
  dims?: number[];
  /** Element type by ONNX's number: see `dataTypeName`. */
  dataType?: number;
  /** All elements, little-endian and densely packed; excludes the fields below. */
  rawData?: Bytes;
  /** Elements of float32 and complex64, packed as in protobuf. */
  floatData?: Bytes;
  /** Elements of integers up to 32 bits and bool, and the bits of float16 and bfloat16. */
  int32Data?: Bytes;
  /** Elements of int64. */
  int64Data?: Bytes;
  /** Elements of float64 and complex128. */
  doubleData?: Bytes;
  /** Elements of uint32 and uint64. */
  uint64Data?: Bytes;
  /** Elements of strings, in UTF-8. */
  stringData?: Bytes[];
  /** Documentation. */
  docString?: string;
  /** Location of external data: `location`, `offset`, `length`. */
  externalData?: StringStringEntry[];
  /** 1: the data is in the file that `externalData` names. */
  dataLocation?: number;
  /** Metadata of the exporter. */
  metadataProps?: StringStringEntry[];
}

/** A sparse tensor: values and their indices; all others are zero. */
export interface SparseTensorProto extends Unknown {
  /** The nonzero values, `[count]`; its name is the tensor's. */
  values?: TensorProto;
  /** Indices, int64: `[count]` in the flattened tensor, or `[count, rank]`. */
  indices?: TensorProto;
  /** Shape of the dense tensor. */
  dims?: number[];
}

/** A size, or the name of a dynamic dimension. */
export interface DimensionProto extends Unknown {
  dimValue?: number;
  dimParam?: string;
}

/** The type of a value. Types other than tensors are unknown fields. */
export interface TypeProto extends Unknown {
  /** For a tensor: ONNX's element type number, and a size or symbol per dimension. */
  tensorType?: { elemType?: number; shape?: { dim?: DimensionProto[] } & Unknown } & Unknown;
}

/** Name and type of a graph input, output or intermediate value. */
export interface ValueInfoProto extends Unknown {
  /** Name of the value. */
  name?: string;
  /** Type and shape. */
  type?: TypeProto;
  /** Documentation. */
  docString?: string;
}

/** Numbers of `AttributeProto.AttributeType` that this SDK writes. */
export const attributeType = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
} as const;

/** An attribute of a node; `type` tells which field is in use. */
export interface AttributeProto extends Unknown {
  /** The attribute's name, such as `axis`. */
  name?: string;
  /** The field in use, by ONNX's number: 1 `f`, 2 `i`, 3 `s`, 4 `t`, 5 `g`, 6 `floats`, 7 `ints`, 8 `strings` … */
  type?: number;
  /** A float. */
  f?: number;
  /** An integer. */
  i?: Int;
  /** A string in UTF-8. */
  s?: Bytes;
  /** A tensor, as in Constant. */
  t?: TensorProto;
  /** A graph, as in a branch of If. */
  g?: GraphProto;
  /** A list of floats. */
  floats?: number[];
  /** A list of integers. */
  ints?: Int[];
  /** A list of strings. */
  strings?: Bytes[];
  /** A list of tensors. */
  tensors?: TensorProto[];
  /** A list of graphs. */
  graphs?: GraphProto[];
  /** A sparse tensor. */
  sparseTensor?: SparseTensorProto;
  /** A list of sparse tensors. */
  sparseTensors?: SparseTensorProto[];
  /** Inside a function: the attribute of the call to take the value from. */
  refAttrName?: string;
}

/** A node: one operator with its inputs and outputs by name. An empty name is an omitted input or output. */
export interface NodeProto extends Unknown {
  /** The node's name, derived from the module path by exporters; may be empty. */
  name?: string;
  /** The operator, such as `MatMul`. */
  opType?: string;
  /** Domain of the operator: empty for ONNX's own, `com.microsoft` for ONNX Runtime's. */
  domain?: string;
  /** Selects one of several functions of the same name. */
  overload?: string;
  /** Names of its inputs. */
  input?: string[];
  /** Names of its outputs. */
  output?: string[];
  /** Its attributes; missing ones have the operator's defaults. */
  attribute?: AttributeProto[];
  /** Documentation; TorchScript's exporter may write the Python stack. */
  docString?: string;
  /** Metadata; the dynamo exporter writes the torch module. */
  metadataProps?: StringStringEntry[];
  /** A plugin's knowledge of the operator; not part of the file. */
  known?: KnownOperator;
}

/** Knowledge of an operator that is not in the tables. */
export interface KnownOperator {
  /** Types and shapes of the outputs, in order; may be fewer. */
  readonly infer?: (site: {
    readonly node: NodeProto;
    readonly inputs: readonly (ValueType | undefined)[];
    readonly opset: number;
  }) => readonly ValueType[];
  /** A `GradientRule`, for differentiation. */
  readonly gradient?: object;
}

/** A graph: nodes in topological order, with weights as initializers. */
export interface GraphProto extends Unknown {
  /** The graph's name. */
  name?: string;
  /** Its nodes. */
  node?: NodeProto[];
  /** Constant tensors, mostly weights. */
  initializer?: TensorProto[];
  /** Constant sparse tensors. */
  sparseInitializer?: SparseTensorProto[];
  /** Inputs; before IR version 4, initializers too. */
  input?: ValueInfoProto[];
  /** Outputs. */
  output?: ValueInfoProto[];
  /** Types of intermediate values, as far as the exporter wrote them. */
  valueInfo?: ValueInfoProto[];
  /** Documentation. */
  docString?: string;
}

/** A function: a composite operator defined in the model. */
export interface FunctionProto extends Unknown {
  name?: string;
  domain?: string;
  /** Distinguishes functions of the same name. */
  overload?: string;
  input?: string[];
  output?: string[];
  /** Attributes without a default. */
  attribute?: string[];
  /** Attributes with defaults. */
  attributeProto?: AttributeProto[];
  node?: NodeProto[];
  opsetImport?: OperatorSetId[];
  valueInfo?: ValueInfoProto[];
  docString?: string;
  metadataProps?: StringStringEntry[];
}

/** The opset version of a domain; the empty domain is the standard one. */
export interface OperatorSetId extends Unknown {
  domain?: string;
  version?: number;
}

/** A model file. */
export interface ModelProto extends Unknown {
  /** IR version. */
  irVersion?: number;
  /** The exporter, such as `pytorch`. */
  producerName?: string;
  /** Version of the exporter. */
  producerVersion?: string;
  /** The main graph. */
  graph?: GraphProto;
  /** Opset version per domain. */
  opsetImport?: OperatorSetId[];
  /** Metadata of the exporter. */
  metadataProps?: StringStringEntry[];
  /** Functions; the dynamo exporter writes modules as such. */
  functions?: FunctionProto[];
}
