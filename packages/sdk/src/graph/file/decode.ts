/** @file Protobuf decoder driven by the tables of `schema.ts`. Long byte fields stay in the file. */

import { OnnxLoraError } from '../../errors.ts';
import { type ByteSource, type Bytes, readBytes } from '../bytes.ts';
import { graphMessage, type Message, modelMessage, tensorMessage } from './schema.ts';
import type { GraphProto, Int, ModelProto, TensorProto } from '../proto.ts';

/** Nesting limit: a hostile file would otherwise overflow the stack. */
const MAX_DEPTH = 64;

/** Decodes a `ModelProto`. @param name the file's name, for errors @throws OnnxLoraError `MODEL_INVALID` */
export function decodeModel(source: ByteSource, name: string): ModelProto {
  return new Decoder(source, name).message(modelMessage, 0, source.size, 0) as ModelProto;
}

/** Decodes a `TensorProto`, as in `.pb` test data. @throws OnnxLoraError `MODEL_INVALID` */
export function decodeTensor(source: ByteSource, name: string): TensorProto {
  return new Decoder(source, name).message(tensorMessage, 0, source.size, 0) as TensorProto;
}

/** Decodes a `GraphProto`. @throws OnnxLoraError `MODEL_INVALID` */
export function decodeGraph(source: ByteSource, name: string): GraphProto {
  return new Decoder(source, name).message(graphMessage, 0, source.size, 0) as GraphProto;
}

// A leading byte order mark is part of the text.
const text = new TextDecoder('utf-8', { ignoreBOM: true });

const float = new DataView(new ArrayBuffer(4));

class Decoder {
  readonly #source: ByteSource;
  readonly #name: string;
  #at = 0;

  constructor(source: ByteSource, name: string) {
    this.#source = source;
    this.#name = name;
  }

  message(type: Message, start: number, end: number, depth: number): Record<string, unknown> {
    if (depth > MAX_DEPTH) this.#fail(`messages are nested more than ${MAX_DEPTH} deep`);
    const result: Record<string, unknown> = {};
    // A packed list may come in several pieces; a single piece stays a reference into the file.
    const pieces = new Map<string, Bytes[]>();
    this.#at = start;
    while (this.#at < end) {
      const fieldStart = this.#at;
      const tag = this.#varint(end);
      const number = Math.floor(tag / 8);
      const wire = tag % 8;
      if (number === 0) this.#fail(`field number 0 at byte ${fieldStart}`);
      const field = type.fields.get(number);
      const value = field && this.#field(field, wire, end, depth);
      if (value === undefined) {
        this.#at = fieldStart;
        this.#varint(end);
        this.#skip(wire, end);
        ((result['unknown'] ??= []) as Bytes[]).push(this.#source.keep(fieldStart, this.#at - fieldStart));
      } else if (field!.kind === 'packed') {
        const list = pieces.get(field!.name);
        if (list) list.push(value as Bytes);
        else pieces.set(field!.name, [value as Bytes]);
      } else if (field!.repeated) {
        const list = (result[field!.name] ??= []) as unknown[];
        if (Array.isArray(value)) for (const item of value) list.push(item);
        else list.push(value);
        // Elements of a list mostly follow one another, each with the same tag.
        while (!Array.isArray(value) && tag < 0x80 && this.#at < end && this.#source.byte(this.#at) === tag) {
          this.#at++;
          list.push(this.#field(field!, wire, end, depth));
        }
      } else {
        result[field!.name] = value;
      }
    }
    for (const [name, list] of pieces) result[name] = list.length === 1 ? list[0] : concatenate(list);
    if (this.#at !== end) this.#fail(`a field runs past the end of its message at byte ${end}`);
    return result;
  }

  /** The field's value; undefined if its wire type differs from the schema's. */
  #field(
    field: { kind: Message | string; repeated: boolean; unpackedWire?: 0 | 1 | 5 },
    wire: number,
    end: number,
    depth: number,
  ): unknown {
    const { kind } = field;
    if (typeof kind !== 'string') {
      if (wire !== 2) return undefined;
      const length = this.#length(end);
      const start = this.#at;
      const value = this.message(kind, start, start + length, depth + 1);
      this.#at = start + length;
      return value;
    }
    if (kind === 'string') return wire === 2 ? text.decode(this.#take(this.#length(end))) : undefined;
    if (kind === 'bytes') return wire === 2 ? this.#keep(this.#length(end)) : undefined;
    if (kind === 'packed') {
      if (wire === 2) return this.#keep(this.#length(end));
      if (wire !== field.unpackedWire) return undefined;
      const start = this.#at;
      this.#skip(wire, end);
      return this.#source.view(start, this.#at - start).slice();
    }
    if (kind === 'int') {
      if (wire === 0) return this.#int(end);
      return wire === 2 && field.repeated ? this.#packed(end, () => this.#int(end)) : undefined;
    }
    if (wire === 5) return this.#float(end);
    return wire === 2 && field.repeated ? this.#packed(end, () => this.#float(end)) : undefined;
  }

  #packed<T>(end: number, read: () => T): T[] {
    const length = this.#length(end);
    const stop = this.#at + length;
    const values: T[] = [];
    while (this.#at < stop) values.push(read());
    if (this.#at !== stop) this.#fail(`a packed list ends inside a value at byte ${stop}`);
    return values;
  }

  #take(length: number): Uint8Array {
    const bytes = this.#source.view(this.#at, length);
    this.#at += length;
    return bytes;
  }

  #keep(length: number): Bytes {
    const bytes = this.#source.keep(this.#at, length);
    this.#at += length;
    return bytes;
  }

  #length(end: number): number {
    const length = this.#varint(end);
    if (length > end - this.#at) {
      this.#fail(
        `a field of ${length} bytes at byte ${this.#at}, but only ${end - this.#at} are left: it is truncated or not ONNX`,
      );
    }
    return length;
  }

  #float(end: number): number {
    if (end - this.#at < 4) this.#fail(`it ends inside a number at byte ${this.#at}`);
    for (let i = 0; i < 4; i++) float.setUint8(i, this.#source.byte(this.#at++));
    return float.getFloat32(0, true);
  }

  /** An unsigned varint below 2^53: tags and lengths. */
  #varint(end: number): number {
    const value = this.#int(end);
    if (typeof value !== 'number' || value < 0) this.#fail(`an impossible length at byte ${this.#at}`);
    return value;
  }

  #int(end: number): Int {
    const start = this.#at;
    let value = 0;
    let scale = 1;
    for (let at = start; at < end; at++) {
      const byte = this.#source.byte(at);
      if (at === start + 7) return this.#bigInt(this.#source.view(start, Math.min(10, end - start)));
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.#at = at + 1;
        return value;
      }
      scale *= 0x80;
    }
    return this.#fail(`it ends inside a number at byte ${this.#at}`);
  }

  #bigInt(view: Uint8Array): Int {
    let value = 0n;
    for (let i = 0; i < view.length; i++) {
      const byte = view[i]!;
      value |= BigInt(byte & 0x7f) << BigInt(7 * i);
      if (byte < 0x80) {
        this.#at += i + 1;
        const signed = BigInt.asIntN(64, value);
        const exact = Number(signed);
        return Number.isSafeInteger(exact) ? exact : signed;
      }
    }
    return this.#fail(`a number longer than 10 bytes at byte ${this.#at}`);
  }

  #skip(wire: number, end: number): void {
    if (wire === 0) this.#int(end);
    else if (wire === 1) this.#advance(8, end);
    else if (wire === 5) this.#advance(4, end);
    else if (wire === 2) this.#advance(this.#length(end), end);
    else this.#fail(`unknown wire type ${wire} at byte ${this.#at}`);
  }

  #advance(count: number, end: number): void {
    if (count > end - this.#at) this.#fail(`it ends inside a field at byte ${this.#at}`);
    this.#at += count;
  }

  #fail(reason: string): never {
    throw new OnnxLoraError(
      'MODEL_INVALID',
      `"${this.#name}" is not a readable ONNX model: ${reason}. Check that the download is complete and that it is an .onnx file, not a Git LFS pointer.`,
    );
  }
}

function concatenate(pieces: readonly Bytes[]): Uint8Array {
  const parts = pieces.map(readBytes);
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
