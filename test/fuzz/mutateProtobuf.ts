/** @file Damage to ONNX files that leaves the protobuf around it well-formed, so that it reaches what lies behind the decoder. */

import type { Random } from '@onnx-lora/sdk/data';
import { mutateBytes, pick, replaced } from './mutateBytes.ts';

/** Which fields of onnx.proto's messages are messages themselves. */
const messages: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Model: { 7: 'Graph', 8: 'OperatorSetId', 14: 'Entry', 25: 'Function' },
  Graph: { 1: 'Node', 5: 'Tensor', 11: 'ValueInfo', 12: 'ValueInfo', 13: 'ValueInfo', 15: 'Sparse', 16: 'Entry' },
  Node: { 5: 'Attribute', 9: 'Entry' },
  Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 14: 'Type', 22: 'Sparse', 23: 'Sparse' },
  ValueInfo: { 2: 'Type', 4: 'Entry' },
  Type: { 1: 'TensorType' },
  TensorType: { 2: 'Shape' },
  Shape: { 1: 'Dimension' },
  Tensor: { 13: 'Entry', 16: 'Entry' },
  Sparse: { 1: 'Tensor', 2: 'Tensor' },
  Function: { 7: 'Node', 9: 'OperatorSetId', 11: 'Attribute', 13: 'ValueInfo', 14: 'Entry' },
};

const LENGTH_DELIMITED = 2;

/** One field: where it stands, and the messages around it, outermost first. */
interface Field {
  /** The message that it is in. */
  readonly within: string;
  readonly number: number;
  readonly wire: number;
  /** First byte of its tag, first byte of its value (behind a length), and its end. */
  readonly start: number;
  readonly content: number;
  readonly end: number;
  readonly around: readonly Field[];
}

/** Damages an ONNX file once. `others` lend fields and bytes. */
export function mutateProtobuf(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const fields = fieldsOf(bytes);
  if (fields.length === 0 || random.next() < 0.15) return mutateBytes(random, bytes, others);
  const field = choose(random, fields);
  const whole = bytes.slice(field.start, field.end);
  switch (random.index(9)) {
    case 0:
      return withField(bytes, field, []);
    case 1:
      return withField(bytes, field, new Array<Uint8Array>(random.next() < 0.95 ? 2 : 100).fill(whole));
    case 2: {
      const lender = pick(random, others);
      const alike = fieldsOf(lender).filter(({ within, number }) => within === field.within && number === field.number);
      if (alike.length === 0) return mutateBytes(random, bytes, others);
      const { start, end } = pick(random, alike);
      const lent = lender.slice(start, end);
      return withField(bytes, field, random.next() < 0.5 ? [lent] : [whole, lent]);
    }
    case 3: {
      const { start, end } = choose(random, fields);
      return withField(bytes, field, [bytes.slice(start, end)]);
    }
    case 4: {
      const inGraph = fields.filter(({ within }) => within === 'Graph');
      if (inGraph.length === 0) return mutateBytes(random, bytes, others);
      const place = pick(random, inGraph);
      const depth = 1 + random.index(random.next() < 0.5 ? 20 : 300);
      return withField(bytes, place, [nestedNode(depth), bytes.slice(place.start, place.end)]);
    }
    case 5:
      // A length that differs from the content.
      return withField(bytes, field, [tag(field.number, field.wire), edge(random), bytes.slice(field.content, field.end)]); // prettier-ignore
    case 6:
      return withField(bytes, field, [tag(field.number, random.index(8)), bytes.slice(field.content, field.end)]);
    default:
      return withField(bytes, field, [tag(field.number, field.wire), ...newValue(random, bytes, fields, field)]);
  }
}

/** Values of such a field that a reader might stumble over. */
function newValue(random: Random, bytes: Uint8Array, fields: readonly Field[], field: Field): Uint8Array[] {
  const old = bytes.slice(field.content, field.end);
  if (field.wire === 0) return [edge(random)];
  if (field.wire !== LENGTH_DELIMITED) {
    const numbers = [0, -0, 1, -1, NaN, Infinity, -Infinity, 1e38, Number.MIN_VALUE];
    const raw = new Uint8Array(field.wire === 5 ? 4 : 8);
    new DataView(raw.buffer).setFloat32(0, pick(random, numbers), true);
    return [raw];
  }
  switch (random.index(5)) {
    case 0:
      return block(Buffer.from(pick(random, words)));
    case 1: {
      const donors = fields.filter(({ within, wire }) => wire === LENGTH_DELIMITED && messages[within] !== undefined);
      const donor = pick(random, donors.length > 0 ? donors : fields);
      return block(bytes.slice(donor.content, donor.end));
    }
    case 2:
      return block(old.slice(0, random.index(old.length + 1)));
    case 3:
      return block(Buffer.concat([old, edge(random), edge(random)]));
    default:
      return block(mutateBytes(random, old, [bytes]));
  }
}

/** Text that names something: operators, domains, files, keys that JavaScript knows. */
const words = [
  '', '__proto__', 'constructor', 'toString', 'value', 'axis', 'axes', 'to', 'shape', 'batch', 'ai.onnx',
  'com.microsoft', 'location', 'offset', 'length', '0', '-1', '1e3', '0x10', ' 5', 'NaN', '9007199254740993',
  '99999999999999999999', 'data.bin', '../data.bin', '/etc/passwd', 'C:\\data.bin', 'a/../../b', '.', './data.bin',
  'data.bin\0', 'loop', 'outside', 'pipe', '\ud800', 'é'.repeat(40), 'x'.repeat(5000), 'a.'.repeat(2000),
  'MatMul', 'Gemm', 'Conv', 'Gather', 'Add', 'Constant', 'ConstantOfShape', 'Range', 'Tile', 'Expand', 'Resize',
  'Reshape', 'Shape', 'Slice', 'Split', 'SplitToSequence', 'Concat', 'Pad', 'TopK', 'OneHot', 'Einsum', 'Transpose',
  'Unsqueeze', 'Squeeze', 'Flatten', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'ConvTranspose', 'GatherND',
  'GatherElements', 'ScatterND', 'DepthToSpace', 'SpaceToDepth', 'LayerNormalization', 'BatchNormalization', 'Where',
  'ReduceSum', 'ReduceMean', 'ArgMax', 'Cast', 'Size', 'NonZero', 'If', 'Loop', 'Scan', 'Trilu', 'EyeLike', 'LSTM',
  'Attention', 'MultiHeadAttention', 'FusedMatMul', 'QLinearMatMul', 'DequantizeLinear', 'MatMulNBits', 'Identity',
]; // prettier-ignore

/** Every second time a field of a kind of message drawn first, for there are far more names than dimensions. */
function choose(random: Random, fields: readonly Field[]): Field {
  if (random.next() < 0.5) return pick(random, fields);
  const kinds = [...new Set(fields.map(({ within, number }) => `${within}.${number}`))];
  const kind = pick(random, kinds);
  return pick(random, fields.filter(({ within, number }) => `${within}.${number}` === kind)); // prettier-ignore
}

/** All fields of all messages, as far as the bytes make sense. */
function fieldsOf(bytes: Uint8Array): Field[] {
  const found: Field[] = [];
  const walk = (within: string, from: number, to: number, around: readonly Field[]): void => {
    for (let at = from; at < to;) {
      const start = at;
      const [key, behindTag] = readVarint(bytes, at);
      const wire = key % 8;
      const number = Math.floor(key / 8);
      let content = behindTag;
      let end = behindTag;
      if (wire === 0) [, end] = readVarint(bytes, behindTag);
      else if (wire === 1) end += 8;
      else if (wire === 5) end += 4;
      else if (wire === LENGTH_DELIMITED) {
        const [length, behindLength] = readVarint(bytes, behindTag);
        content = behindLength;
        end = behindLength + length;
      } else return;
      if (!(end <= to)) return;
      const field: Field = { within, number, wire, start, content, end, around };
      found.push(field);
      const inner = wire === LENGTH_DELIMITED ? messages[within]?.[number] : undefined;
      if (inner !== undefined && around.length < 24) walk(inner, content, end, [...around, field]);
      at = end;
    }
  };
  walk('Model', 0, bytes.length, []);
  return found;
}

/** The file with one field exchanged; the lengths of the messages around it follow. */
function withField(bytes: Uint8Array, field: Field, by: readonly Uint8Array[]): Uint8Array {
  let [from, to, middle] = [field.start, field.end, Buffer.concat(by) as Uint8Array];
  for (const message of field.around.toReversed()) {
    const before = bytes.subarray(message.content, from);
    const after = bytes.subarray(to, message.end);
    const length = before.length + middle.length + after.length;
    middle = Buffer.concat([tag(message.number, LENGTH_DELIMITED), varint(length), before, middle, after]);
    [from, to] = [message.start, message.end];
  }
  return replaced(bytes, from, to, middle);
}

/** A field `node` of a graph, with graphs inside graphs. */
function nestedNode(depth: number): Uint8Array {
  let graph: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < depth; i++) {
    const attribute = Buffer.concat([tag(6, 2), ...block(graph)]);
    const node = Buffer.concat([tag(2, 2), ...block(Buffer.from('o')), tag(4, 2), ...block(Buffer.from('If')), tag(5, 2), ...block(attribute)]); // prettier-ignore
    graph = Buffer.concat([tag(1, 2), ...block(node)]);
  }
  return graph;
}

function tag(number: number, wire: number): Uint8Array {
  return varint(number * 8 + wire);
}

function block(content: Uint8Array): Uint8Array[] {
  return [varint(content.length), content];
}

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) + 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

const edgeNumbers = [
  0, 1, 2, 3, 7, 8, 9, 10, 11, 12, 16, 21, 23, 64, 127, 128, 255, 256, 65_535, 1_000_000, 2 ** 31 - 1, 2 ** 31, 2 ** 32,
  2 ** 40, 2 ** 53 - 1, 2 ** 53, 2n ** 63n - 1n, 2n ** 63n, -1, -2, -(2 ** 31), -(2 ** 40),
] as const; // prettier-ignore
/** Varints that no writer makes: a zero in two bytes, ten bytes beyond 64 bits, eleven bytes, one that does not end. */
const oddVarints = [
  [0x80, 0x00],
  [0x81, 0x80, 0x80, 0x00],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [0xff],
].map((bytes) => Uint8Array.from(bytes));

function edge(random: Random): Uint8Array {
  return random.next() < 0.1 ? pick(random, oddVarints) : varint(pick(random, edgeNumbers));
}

/** A varint and where it ends; beyond the end and beyond 2^53 the number is NaN. */
function readVarint(bytes: Uint8Array, at: number): [value: number, end: number] {
  let value = 0;
  for (let i = 0; i < 8; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  return [NaN, NaN];
}
