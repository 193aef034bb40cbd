/** @file The decoded ONNX messages, as plain objects. Names are those of onnx.proto in camelCase. */

import type { Bytes } from './bytes.ts';

/** Fields that this SDK does not know, as they stood in the file; written back unchanged. */
interface Unknown {
  unknown?: Bytes[];
}

/** An int64: a number where that is exact, else a bigint. */
export type Int = number | bigint;

/** A key and its value, as in metadata and in the description of external data. */
export interface StringStringEntry extends Unknown {
  key?: string;
  value?: string;
}

/** A tensor: type, dimensions, and its bytes in one of several fields, or where they lie. Read it with `readTensor`. */
export interface TensorProto extends Unknown {
  name?: string;
  dims?: number[];
  dataType?: number;
  rawData?: Bytes;
  floatData?: Bytes;
  int32Data?: Bytes;
  int64Data?: Bytes;
  doubleData?: Bytes;
  uint64Data?: Bytes;
  stringData?: Bytes[];
  docString?: string;
  externalData?: StringStringEntry[];
  /** 1: the data lies in the file that `externalData` names. */
  dataLocation?: number;
  metadataProps?: StringStringEntry[];
}

/** A tensor of which only some values are written down, by their indices; the others are zero. */
export interface SparseTensorProto extends Unknown {
  values?: TensorProto;
  indices?: TensorProto;
  dims?: number[];
}

/** A size, or the name of one that is only known at run time. */
export interface DimensionProto extends Unknown {
  dimValue?: number;
  dimParam?: string;
}

/** The type of a value. Types other than tensors are among the unknown fields. */
export interface TypeProto extends Unknown {
  tensorType?: { elemType?: number; shape?: { dim?: DimensionProto[] } & Unknown } & Unknown;
}

/** Name and type of a graph input, a graph output, or a value inside. */
export interface ValueInfoProto extends Unknown {
  name?: string;
  type?: TypeProto;
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
  name?: string;
  type?: number;
  f?: number;
  i?: Int;
  s?: Bytes;
  t?: TensorProto;
  g?: GraphProto;
  floats?: number[];
  ints?: Int[];
  strings?: Bytes[];
  tensors?: TensorProto[];
  graphs?: GraphProto[];
  sparseTensor?: SparseTensorProto;
  sparseTensors?: SparseTensorProto[];
  refAttrName?: string;
}

/** One operator: the values that it reads and yields, by name. An empty name is an omitted input or output. */
export interface NodeProto extends Unknown {
  name?: string;
  opType?: string;
  domain?: string;
  /** Which of several functions of one name a call means. */
  overload?: string;
  input?: string[];
  output?: string[];
  attribute?: AttributeProto[];
  docString?: string;
  metadataProps?: StringStringEntry[];
}

/** A graph: nodes in an order in which each follows those that it reads from, and the weights as initializers. */
export interface GraphProto extends Unknown {
  name?: string;
  node?: NodeProto[];
  initializer?: TensorProto[];
  sparseInitializer?: SparseTensorProto[];
  input?: ValueInfoProto[];
  output?: ValueInfoProto[];
  valueInfo?: ValueInfoProto[];
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
  irVersion?: number;
  producerName?: string;
  producerVersion?: string;
  graph?: GraphProto;
  opsetImport?: OperatorSetId[];
  metadataProps?: StringStringEntry[];
  functions?: FunctionProto[];
}
