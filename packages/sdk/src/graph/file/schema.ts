/**
 * @file The ONNX protobuf schema (onnx.proto, IR version 13): field number → name and kind.
 * @see https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */

/** Encoding of a field. `bytes` may stay in the file; `packed` is a packed list of numbers kept as bytes. */
export type Scalar = 'int' | 'float' | 'string' | 'bytes' | 'packed';

/** One field of a message. */
export interface Field {
  readonly name: string;
  readonly kind: Scalar | Message;
  readonly repeated: boolean;
  /** For `packed` fields: the wire type of unpacked elements. */
  readonly unpackedWire?: 0 | 1 | 5;
}

/** A message type: its fields by number. */
export interface Message {
  readonly name: string;
  readonly fields: ReadonlyMap<number, Field>;
}

type Row = readonly [number: number, name: string, kind: Scalar | (() => Message), modifier?: 'repeated' | 0 | 1 | 5];

function message(name: string, rows: readonly Row[]): Message {
  const fields = new Map<number, Field>();
  const result: Message = { name, fields };
  for (const [number, field, kind, modifier] of rows) {
    fields.set(number, {
      name: field,
      // Messages are recursive (node → attribute → graph → node), hence the getter.
      get kind() {
        return typeof kind === 'function' ? kind() : kind;
      },
      repeated: modifier === 'repeated',
      ...(typeof modifier === 'number' ? { unpackedWire: modifier } : {}),
    });
  }
  return result;
}

const stringStringEntry: Message = message('StringStringEntryProto', [
  [1, 'key', 'string'],
  [2, 'value', 'string'],
]);

const operatorSetId: Message = message('OperatorSetIdProto', [
  [1, 'domain', 'string'],
  [2, 'version', 'int'],
]);

/** `TensorProto`. */
export const tensorMessage: Message = message('TensorProto', [
  [1, 'dims', 'int', 'repeated'],
  [2, 'dataType', 'int'],
  [4, 'floatData', 'packed', 5],
  [5, 'int32Data', 'packed', 0],
  [6, 'stringData', 'bytes', 'repeated'],
  [7, 'int64Data', 'packed', 0],
  [8, 'name', 'string'],
  [9, 'rawData', 'bytes'],
  [10, 'doubleData', 'packed', 1],
  [11, 'uint64Data', 'packed', 0],
  [12, 'docString', 'string'],
  [13, 'externalData', () => stringStringEntry, 'repeated'],
  [14, 'dataLocation', 'int'],
  [16, 'metadataProps', () => stringStringEntry, 'repeated'],
]);

const sparseTensor: Message = message('SparseTensorProto', [
  [1, 'values', () => tensorMessage],
  [2, 'indices', () => tensorMessage],
  [3, 'dims', 'int', 'repeated'],
]);

const dimension: Message = message('TensorShapeProto.Dimension', [
  [1, 'dimValue', 'int'],
  [2, 'dimParam', 'string'],
  [3, 'denotation', 'string'],
]);

const shape: Message = message('TensorShapeProto', [[1, 'dim', () => dimension, 'repeated']]);

const tensorType: Message = message('TypeProto.Tensor', [
  [1, 'elemType', 'int'],
  [2, 'shape', () => shape],
]);

const typeMessage: Message = message('TypeProto', [
  [1, 'tensorType', () => tensorType],
  [6, 'denotation', 'string'],
]);

const valueInfo: Message = message('ValueInfoProto', [
  [1, 'name', 'string'],
  [2, 'type', () => typeMessage],
  [3, 'docString', 'string'],
  [4, 'metadataProps', () => stringStringEntry, 'repeated'],
]);

const attribute: Message = message('AttributeProto', [
  [1, 'name', 'string'],
  [2, 'f', 'float'],
  [3, 'i', 'int'],
  [4, 's', 'bytes'],
  [5, 't', () => tensorMessage],
  [6, 'g', () => graphMessage],
  [7, 'floats', 'float', 'repeated'],
  [8, 'ints', 'int', 'repeated'],
  [9, 'strings', 'bytes', 'repeated'],
  [10, 'tensors', () => tensorMessage, 'repeated'],
  [11, 'graphs', () => graphMessage, 'repeated'],
  [13, 'docString', 'string'],
  [14, 'tp', () => typeMessage],
  [15, 'typeProtos', () => typeMessage, 'repeated'],
  [20, 'type', 'int'],
  [21, 'refAttrName', 'string'],
  [22, 'sparseTensor', () => sparseTensor],
  [23, 'sparseTensors', () => sparseTensor, 'repeated'],
]);

const node: Message = message('NodeProto', [
  [1, 'input', 'string', 'repeated'],
  [2, 'output', 'string', 'repeated'],
  [3, 'name', 'string'],
  [4, 'opType', 'string'],
  [5, 'attribute', () => attribute, 'repeated'],
  [6, 'docString', 'string'],
  [7, 'domain', 'string'],
  [8, 'overload', 'string'],
  [9, 'metadataProps', () => stringStringEntry, 'repeated'],
]);

/** `GraphProto`. */
export const graphMessage: Message = message('GraphProto', [
  [1, 'node', () => node, 'repeated'],
  [2, 'name', 'string'],
  [5, 'initializer', () => tensorMessage, 'repeated'],
  [10, 'docString', 'string'],
  [11, 'input', () => valueInfo, 'repeated'],
  [12, 'output', () => valueInfo, 'repeated'],
  [13, 'valueInfo', () => valueInfo, 'repeated'],
  [15, 'sparseInitializer', () => sparseTensor, 'repeated'],
  [16, 'metadataProps', () => stringStringEntry, 'repeated'],
]);

const functionMessage: Message = message('FunctionProto', [
  [1, 'name', 'string'],
  [4, 'input', 'string', 'repeated'],
  [5, 'output', 'string', 'repeated'],
  [6, 'attribute', 'string', 'repeated'],
  [7, 'node', () => node, 'repeated'],
  [8, 'docString', 'string'],
  [9, 'opsetImport', () => operatorSetId, 'repeated'],
  [10, 'domain', 'string'],
  [11, 'attributeProto', () => attribute, 'repeated'],
  [12, 'overload', 'string'],
  [13, 'valueInfo', () => valueInfo, 'repeated'],
  [14, 'metadataProps', () => stringStringEntry, 'repeated'],
]);

/** `ModelProto`. */
export const modelMessage: Message = message('ModelProto', [
  [1, 'irVersion', 'int'],
  [2, 'producerName', 'string'],
  [3, 'producerVersion', 'string'],
  [4, 'domain', 'string'],
  [5, 'modelVersion', 'int'],
  [6, 'docString', 'string'],
  [7, 'graph', () => graphMessage],
  [8, 'opsetImport', () => operatorSetId, 'repeated'],
  [14, 'metadataProps', () => stringStringEntry, 'repeated'],
  [25, 'functions', () => functionMessage, 'repeated'],
]);
