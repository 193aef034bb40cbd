/** @file Reads FlatBuffers tables from untrusted bytes, checking every offset. */

import { OnnxLoraError } from '../../errors.ts';

/** A view of FlatBuffers data. Offsets only lead forwards, except to vtables, which prevents infinite loops. */
export class FlatBuffer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  get length(): number {
    return this.#bytes.length;
  }

  root(): FlatTable {
    return this.tableAt(this.follow(0));
  }

  int32(at: number): number {
    return this.#view.getInt32(this.#checked(at, 4), true);
  }

  uint32(at: number): number {
    return this.#view.getUint32(this.#checked(at, 4), true);
  }

  uint16(at: number): number {
    return this.#view.getUint16(this.#checked(at, 2), true);
  }

  /** A 64-bit integer within JavaScript's safe range. */
  int64(at: number): number {
    const value = this.#view.getBigInt64(this.#checked(at, 8), true);
    if (BigInt.asIntN(53, value) !== value) this.fail(`the number ${value} at byte ${at} is out of range`);
    return Number(value);
  }

  follow(at: number): number {
    return this.#checked(at + this.uint32(at), 4);
  }

  tableAt(at: number): FlatTable {
    const vtable = at - this.int32(at);
    const size = this.uint16(vtable);
    if (size < 4) this.fail(`the vtable at byte ${vtable} has ${size} bytes`);
    this.#checked(vtable, size);
    return new FlatTable(this, at, vtable, size);
  }

  /** First byte and length of a vector with elements of `elementSize` bytes. */
  vectorAt(at: number, elementSize: number): { start: number; length: number } {
    const length = this.uint32(at);
    return { start: this.#checked(at + 4, length * elementSize), length };
  }

  copy(start: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length);
    copy.set(this.#bytes.subarray(start, start + length));
    return copy;
  }

  fail: (what: string) => never = (what) => {
    throw new OnnxLoraError(
      'ADAPTER_INVALID',
      `"${this.#file}" is not a valid .onnx_adapter file: ${what}. It may be cut short or damaged: copy or download it again.`,
    );
  };

  #checked(at: number, length: number): number {
    if (at < 0 || at + length > this.#bytes.length) {
      this.fail(`${length} bytes at byte ${at} lie outside its ${this.#bytes.length} bytes`);
    }
    return at;
  }
}

/** A table with fields by number in the schema; undefined for absent ones. */
export class FlatTable {
  readonly #buffer: FlatBuffer;
  readonly #at: number;
  readonly #vtable: number;
  readonly #size: number;

  constructor(buffer: FlatBuffer, at: number, vtable: number, size: number) {
    this.#buffer = buffer;
    this.#at = at;
    this.#vtable = vtable;
    this.#size = size;
  }

  /** Position of the field's value, or of the offset to it. */
  field(id: number): number | undefined {
    const slot = 4 + 2 * id;
    const offset = slot + 2 > this.#size ? 0 : this.#buffer.uint16(this.#vtable + slot);
    return offset === 0 ? undefined : this.#at + offset;
  }

  int32(id: number): number {
    const at = this.field(id);
    return at === undefined ? 0 : this.#buffer.int32(at);
  }

  vector(id: number, elementSize: number): { start: number; length: number } | undefined {
    const at = this.field(id);
    return at === undefined ? undefined : this.#buffer.vectorAt(this.#buffer.follow(at), elementSize);
  }
}
