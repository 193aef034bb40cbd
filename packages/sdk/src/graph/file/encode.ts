/** @file Protobuf encoder. Output is a list of chunks, so that weights are streamed and never joined. */

import { type Bytes, byteLength } from '../bytes.ts';
import { graphMessage, type Field, type Message, modelMessage } from './schema.ts';
import type { GraphProto, Int, ModelProto } from '../proto.ts';

/** Pieces of an encoded message: bytes, or ranges of files. */
export type Chunks = Bytes[];

/** Encodes a model: fields by number, unknown ones last. */
export function encodeModel(model: ModelProto): Chunks {
  return encode(modelMessage, model as Record<string, unknown>);
}

/** Encodes a graph. */
export function encodeGraph(graph: GraphProto): Chunks {
  return encode(graphMessage, graph as Record<string, unknown>);
}

const text = new TextEncoder();
const LONGEST_INT = 10;

function encode(type: Message, value: Readonly<Record<string, unknown>>): Chunks {
  const chunks: Chunks = [];
  for (const number of orderedFields(type)) {
    const field = type.fields.get(number)!;
    const content = value[field.name];
    if (content === undefined) continue;
    if (field.repeated) writeRepeated(chunks, number, field, content as readonly unknown[]);
    else writeOne(chunks, number, field, content);
  }
  for (const bytes of (value['unknown'] as Bytes[] | undefined) ?? []) chunks.push(bytes);
  return chunks;
}

const orders = new WeakMap<Message, number[]>();

function orderedFields(type: Message): number[] {
  let order = orders.get(type);
  if (!order) orders.set(type, (order = [...type.fields.keys()].sort((a, b) => a - b)));
  return order;
}

function writeRepeated(chunks: Chunks, number: number, field: Field, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (field.kind === 'int') {
    writeBlock(chunks, number, [varints(values as Int[])]);
  } else if (field.kind === 'float') {
    writeBlock(chunks, number, [floatBytes(values as number[])]);
  } else if (field.kind === 'bytes' && values.every((value) => value instanceof Uint8Array)) {
    chunks.push(blocks(number, values));
  } else {
    for (const value of values) writeOne(chunks, number, field, value);
  }
}

function writeOne(chunks: Chunks, number: number, { kind }: Field, value: unknown): void {
  if (typeof kind !== 'string') writeBlock(chunks, number, encode(kind, value as Record<string, unknown>));
  else if (kind === 'string') writeBlock(chunks, number, [text.encode(value as string)]);
  else if (kind === 'bytes' || kind === 'packed') writeBlock(chunks, number, [value as Bytes]);
  else if (kind === 'int') chunks.push(Uint8Array.from([...varint(number * 8), ...varint(value as Int)]));
  else chunks.push(Uint8Array.from(varint(number * 8 + 5)), floatBytes([value as number]));
}

function writeBlock(chunks: Chunks, number: number, content: Chunks): void {
  const length = content.reduce((sum, bytes) => sum + byteLength(bytes), 0);
  chunks.push(Uint8Array.from([...varint(number * 8 + 2), ...varint(length)]));
  for (const bytes of content) chunks.push(bytes);
}

function varints(values: readonly Int[]): Uint8Array {
  // Most lists are short; the buffer doubles when full.
  let bytes = new Uint8Array(values.length + LONGEST_INT);
  let at = 0;
  for (const value of values) {
    if (at + LONGEST_INT > bytes.length) {
      const longer = new Uint8Array(2 * bytes.length);
      longer.set(bytes);
      bytes = longer;
    }
    if (typeof value === 'number' && value >= 0 && value < 0x80) bytes[at++] = value;
    else for (const byte of varint(value)) bytes[at++] = byte;
  }
  return bytes.subarray(0, at);
}

/** Joins short strings in one buffer: separate chunks would take far more memory. */
function blocks(number: number, values: readonly Uint8Array[]): Uint8Array {
  const heads = values.map(({ length }) => [...varint(number * 8 + 2), ...varint(length)]);
  const bytes = new Uint8Array(values.reduce((sum, { length }, i) => sum + heads[i]!.length + length, 0));
  let at = 0;
  for (const [i, value] of values.entries()) {
    bytes.set(heads[i]!, at);
    bytes.set(value, at + heads[i]!.length);
    at += heads[i]!.length + value.length;
  }
  return bytes;
}

function floatBytes(values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => view.setFloat32(i * 4, value, true));
  return bytes;
}

function varint(value: Int): number[] {
  const bytes: number[] = [];
  if (typeof value === 'number' && value >= 0) {
    let rest = value;
    while (rest >= 0x80) {
      bytes.push((rest % 0x80) + 0x80);
      rest = Math.floor(rest / 0x80);
    }
    bytes.push(rest);
    return bytes;
  }
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) + 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}
