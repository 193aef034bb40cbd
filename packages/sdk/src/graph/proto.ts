/** @file The decoded ONNX messages, as plain objects. Names are those of onnx.proto in camelCase. */

import type { Bytes } from './bytes.ts';
import type { ValueType } from './value.ts';

/** Fields that this SDK does not know, as they stood in the file; written back unchanged. */
interface Unknown {
  /** One entry per field, its tag included. */
  unknown?: Bytes[];
}

/** An int64: a number where that is exact, else a bigint. */
export type Int = number | bigint;

/** A key and its value, as in metadata and in the description of external data. */
export interface StringStringEntry extends Unknown {
  /** The key, such as `location`. */
  key?: string;
  /** Its value, always text. */
  value?: string;
}

/** A tensor: type, dimensions, and its bytes in one of several fields, or where they lie. Read it with `readTensor`. */
export interface TensorProto extends Unknown {
  /** The value's name by which nodes read it. */
  name?: string;
  /** One size per dimension; empty for a scalar. */
  dims?: number[];
  /** ONNX's number of the element type: see `dataTypeName`. */
  dataType?: number;
  /** All elements, little-endian and densely packed. Where it is there, the fields below are not. */
  rawData?: Bytes;
  /** Elements of float32 and complex64, packed as in protobuf. */
  floatData?: Bytes;
  /** Elements of all integers up to 32 bits, of bool, and the bits of float16 and its kin. */
  int32Data?: Bytes;
  /** Elements of int64. */
  int64Data?: Bytes;
  /** Elements of float64 and complex128. */
  doubleData?: Bytes;
  /** Elements of uint32 and uint64. */
  uint64Data?: Bytes;
  /** Elements of strings, in UTF-8. */
  stringData?: Bytes[];
  /** Text for people. */
  docString?: string;
  /** Where elements lie outside of the file: `location`, `offset`, `length`. */
  externalData?: StringStringEntry[];
  /** 1: the data lies in the file that `externalData` names. */
  dataLocation?: number;
  /** What the exporter notes of the tensor. */
  metadataProps?: StringStringEntry[];
}

/** A tensor of which only some values are written down, by their indices; the others are zero. */
export interface SparseTensorProto extends Unknown {
  /** The values that are not zero, `[count]`; its name is the tensor's. */
  values?: TensorProto;
  /** Their places, int64: `[count]` in the flattened tensor, or `[count, rank]`. */
  indices?: TensorProto;
  /** Shape of the whole tensor. */
  dims?: number[];
}

/** A size, or the name of one that is only known at run time. */
export interface DimensionProto extends Unknown {
  dimValue?: number;
  dimParam?: string;
}

/** The type of a value. Types other than tensors are among the unknown fields. */
export interface TypeProto extends Unknown {
  /** Of a tensor: ONNX's number of the element type, and a size or symbol per dimension. */
  tensorType?: { elemType?: number; shape?: { dim?: DimensionProto[] } & Unknown } & Unknown;
}

/** Name and type of a graph input, a graph output, or a value inside. */
export interface ValueInfoProto extends Unknown {
  /** The value's name. */
  name?: string;
  /** Its type and shape. */
  type?: TypeProto;
  /** Text for people. */
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

/** An attribute of a node; the field in use is the one that `type` names. */
export interface AttributeProto extends Unknown {
  /** The attribute's name, such as `axis`. */
  name?: string;
  /** Which field is in use, by ONNX's number: 1 `f`, 2 `i`, 3 `s`, 4 `t`, 5 `g`, 6 `floats`, 7 `ints`, 8 `strings` … */
  type?: number;
  /** A float. */
  f?: number;
  /** An integer. */
  i?: Int;
  /** A string in UTF-8. */
  s?: Bytes;
  /** A tensor, as of a Constant. */
  t?: TensorProto;
  /** A graph, as the branch of an If. */
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
  /** Inside a function: the attribute of the call whose value is taken. */
  refAttrName?: string;
}

/** One operator: the values that it reads and yields, by name. An empty name is an omitted input or output. */
export interface NodeProto extends Unknown {
  /** The node's own name, which exporters make of the module's path; may be empty. */
  name?: string;
  /** The operator, such as `MatMul`. */
  opType?: string;
  /** Whose operator it is: empty for ONNX's own, `com.microsoft` for ONNX Runtime's. */
  domain?: string;
  /** Which of several functions of one name a call means. */
  overload?: string;
  /** Names of the values that it reads. */
  input?: string[];
  /** Names of the values that it yields. */
  output?: string[];
  /** Its attributes; those that are missing have the operator's defaults. */
  attribute?: AttributeProto[];
  /** Text for people; TorchScript's exporter may write the Python stack there. */
  docString?: string;
  /** What the exporter notes: the dynamo exporter the torch module that the node comes from. */
  metadataProps?: StringStringEntry[];
  /** What a plugin knows of the operator. It travels with the node, and is no part of the file. */
  known?: KnownOperator;
}

/** What is known of an operator that has no row in the tables. */
export interface KnownOperator {
  /** Types and shapes of the outputs, in order; fewer where no more is known. */
  readonly infer?: (site: {
    readonly node: NodeProto;
    readonly inputs: readonly (ValueType | undefined)[];
    readonly opset: number;
  }) => readonly ValueType[];
  /** A `GradientRule`, which only differentiation reads. */
  readonly gradient?: object;
}

/** A graph: nodes in an order in which each follows those that it reads from, and the weights as initializers. */
export interface GraphProto extends Unknown {
  /** What the graph is called. */
  name?: string;
  /** Its operators. */
  node?: NodeProto[];
  /** Constant tensors, mostly weights. */
  initializer?: TensorProto[];
  /** Constant tensors that are mostly zeros. */
  sparseInitializer?: SparseTensorProto[];
  /** What is fed; before IR version 4 the initializers as well. */
  input?: ValueInfoProto[];
  /** What comes out. */
  output?: ValueInfoProto[];
  /** Types of values inside, as far as the exporter wrote them down. */
  valueInfo?: ValueInfoProto[];
  /** Text for people. */
  docString?: string;
}

/** A composite operator that the model brings along. */
export interface FunctionProto extends Unknown {
  name?: string;
  domain?: string;
  /** Tells functions of one name apart; a call names the one that it means. */
  overload?: string;
  input?: string[];
  output?: string[];
  /** Attributes that a call gives and that have no default. */
  attribute?: string[];
  /** Attributes that a call may give, with their defaults. */
  attributeProto?: AttributeProto[];
  node?: NodeProto[];
  opsetImport?: OperatorSetId[];
  valueInfo?: ValueInfoProto[];
  docString?: string;
  metadataProps?: StringStringEntry[];
}

/** The version of a set of operators; the empty domain is the standard one. */
export interface OperatorSetId extends Unknown {
  domain?: string;
  version?: number;
}

/** A whole file. */
export interface ModelProto extends Unknown {
  /** Version of the file format. */
  irVersion?: number;
  /** The program that wrote the file, such as `pytorch`. */
  producerName?: string;
  /** Its version. */
  producerVersion?: string;
  /** The graph that is run. */
  graph?: GraphProto;
  /** The version of the operator set of each domain. */
  opsetImport?: OperatorSetId[];
  /** What the exporter notes of the model. */
  metadataProps?: StringStringEntry[];
  /** Operators that are made of others, as the dynamo exporter leaves modules. */
  functions?: FunctionProto[];
}
