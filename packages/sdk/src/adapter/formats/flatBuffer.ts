/** @file Reads FlatBuffers tables from a stranger's bytes: every offset is checked before it is followed. */

import { OnnxLoraError } from '../../errors.ts';

/**
 * A view of FlatBuffers data. Offsets only ever lead forwards, except from a table to its vtable, so a file cannot
 * send a reader round in circles as long as nobody recurses over the same kind of table.
 */
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

  /** The root table. */
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

  /** A whole number of 64 bits that JavaScript can hold. */
  int64(at: number): number {
    const value = this.#view.getBigInt64(this.#checked(at, 8), true);
    if (BigInt.asIntN(53, value) !== value) this.fail(`the number ${value} at byte ${at} is out of range`);
    return Number(value);
  }

  /** Where the offset that is stored at `at` leads. */
  follow(at: number): number {
    return this.#checked(at + this.uint32(at), 4);
  }

  /** The table at `at`. */
  tableAt(at: number): FlatTable {
    const vtable = at - this.int32(at);
    const size = this.uint16(vtable);
    if (size < 4) this.fail(`the vtable at byte ${vtable} has ${size} bytes`);
    this.#checked(vtable, size);
    return new FlatTable(this, at, vtable, size);
  }

  /** First byte and length of a vector whose elements take `elementSize` bytes each. */
  vectorAt(at: number, elementSize: number): { start: number; length: number } {
    const length = this.uint32(at);
    return { start: this.#checked(at + 4, length * elementSize), length };
  }

  /** A copy of bytes that were checked before, by {@link vectorAt}. */
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

/** One table: its fields by their number in the schema; undefined where a field is absent. */
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

  /** Where the field's value (or the offset to it) is stored. */
  field(id: number): number | undefined {
    const slot = 4 + 2 * id;
    const offset = slot + 2 > this.#size ? 0 : this.#buffer.uint16(this.#vtable + slot);
    return offset === 0 ? undefined : this.#at + offset;
  }

  /** A number field; absent means 0. */
  int32(id: number): number {
    const at = this.field(id);
    return at === undefined ? 0 : this.#buffer.int32(at);
  }

  /** The vector (or string) of a field. */
  vector(id: number, elementSize: number): { start: number; length: number } | undefined {
    const at = this.field(id);
    return at === undefined ? undefined : this.#buffer.vectorAt(this.#buffer.follow(at), elementSize);
  }
}
