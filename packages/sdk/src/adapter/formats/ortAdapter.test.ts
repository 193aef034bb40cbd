/** @file Tests of `.onnx_adapter` files against those of ONNX Runtime, and against damage. */

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OnnxLoraError } from '../../errors.ts';
import { type DataType, type Tensor, arrayOf, float32, sizeOf } from '../../runtime/tensor.ts';
import { formatOrtAdapter, parseOrtAdapter } from './ortAdapter.ts';
import { parseSafetensors } from './safetensors.ts';
import { safetensorsTypes } from './safetensorsHeader.ts';

const fixtures = join(import.meta.dirname, '../../../fixtures/adapters/ort');
const sorted = (tensors: Map<string, Tensor>): [string, Tensor][] => [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));

describe('parseOrtAdapter', () => {
  const files = readdirSync(fixtures).filter((name) => name.endsWith('.onnx_adapter'));

  it.each(files)('reads what ONNX Runtime wrote: %s', (name) => {
    const tensors = parseOrtAdapter(readFileSync(join(fixtures, name)), name);
    const beside = name.replace('.onnx_adapter', '.safetensors');
    expect(sorted(tensors)).toEqual(sorted(parseSafetensors(readFileSync(join(fixtures, beside)), beside).tensors));
    expect(tensors.size).toBe(4);
  });

  it('reads from any alignment, and copies', () => {
    const bytes = formatOrtAdapter(new Map([['a', float32([1, 2], [2])]]));
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    const tensor = parseOrtAdapter(shifted.subarray(3), 'shifted').get('a')!;
    shifted.fill(0);
    expect(tensor).toEqual(float32([1, 2], [2]));
  });

  /** Where things lie in a file with one parameter called "a" of shape [2]. */
  const at = { vtable: 20, version: 36, parameters: 48, count: 52, parameter: 56, table: 60 };
  const damaged = (change: (view: DataView) => void): Uint8Array => {
    const bytes = formatOrtAdapter(new Map([['a', float32([1, 2], [2])]]));
    change(new DataView(bytes.buffer));
    return bytes;
  };
  it.each<[string, (view: DataView) => void, RegExp]>([
    ['another identifier', (v) => v.setUint8(4, 65), /bytes 4 to 8 are "AORT"/],
    ['a newer format', (v) => v.setInt32(at.version, 2, true), /format has version 2/],
    ['a root outside', (v) => v.setUint32(0, 2 ** 32 - 1, true), /lie outside/],
    ['a vtable before the file', (v) => v.setInt32(at.table, 1000, true), /lie outside/],
    ['a vtable after the file', (v) => v.setInt32(at.table, -(2 ** 31), true), /lie outside/],
    ['a vtable without size', (v) => v.setUint16(at.vtable, 0, true), /vtable at byte 20 has 0 bytes/],
    ['a vtable beyond the end', (v) => v.setUint16(at.vtable, 60_000, true), /lie outside/],
    ['a huge count', (v) => v.setUint32(at.count, 2 ** 32 - 1, true), /lie outside/],
    ['a parameter at itself', (v) => v.setUint32(at.parameter, 0, true), /./],
    ['a name beyond the end', (v) => v.setUint32(at.table + 4, 10_000, true), /lie outside/],
    ['a type that does not exist', (v) => v.setInt32(at.table + 12, 99, true), /"a" has the element type 99/],
    ['strings', (v) => v.setInt32(at.table + 12, 8, true), /"a" has the element type 8/],
    ['half the size', (v) => v.setInt32(at.table + 12, 10, true), /float16 and shape \[2\] needs 4 bytes, but has 8/],
  ])('refuses %s', (_, change, message) => {
    expect(() => parseOrtAdapter(damaged(change), 'x.onnx_adapter')).toThrow(message);
    expect(() => parseOrtAdapter(damaged(change), 'x.onnx_adapter')).toThrow(expect.objectContaining({ code: 'ADAPTER_INVALID' })); // prettier-ignore
  });

  it('refuses dimensions that multiply to nonsense, and a name held twice', () => {
    const bytes = formatOrtAdapter(new Map([['a', float32([], [0, 7])], ['b', float32([], [0])]])); // prettier-ignore
    const view = new DataView(bytes.buffer);
    const seven = bytes.indexOf(7, 60);
    view.setBigInt64(seven, -1n, true);
    expect(() => parseOrtAdapter(bytes, 'x')).toThrow(/impossible dimension -1/);
    view.setBigInt64(seven, 2n ** 60n, true);
    expect(() => parseOrtAdapter(bytes, 'x')).toThrow(/out of range/);
    view.setBigInt64(seven, 7n, true);
    bytes[bytes.indexOf('b'.charCodeAt(0), 60)] = 'a'.charCodeAt(0);
    expect(() => parseOrtAdapter(bytes, 'x')).toThrow(/holds "a" twice/);
  });

  it('refuses to unfold one block of data into many parameters', () => {
    const data = float32(new Float32Array(1000), [1000]);
    const bytes = formatOrtAdapter(new Map(['a', 'b', 'c'].map((name) => [name, data])));
    const view = new DataView(bytes.buffer);
    // Every raw_data offset now leads to the last block; cut off nothing: the file is as large, but claims overlap.
    const tables = [0, 1, 2].map((i) => 56 + 4 * i + view.getUint32(56 + 4 * i, true));
    const last = tables[2]! + 16 + view.getUint32(tables[2]! + 16, true);
    const first = bytes.slice(0, tables[0]! + 40);
    const small = new Uint8Array(first.length + 4 * 60 + (bytes.length - last));
    small.set(bytes.subarray(last), small.length - (bytes.length - last));
    small.set(bytes.subarray(0, 68));
    tables.forEach((table, i) => {
      const to = 72 + 48 * i;
      small.set(bytes.subarray(table, table + 48), to);
      const smallView = new DataView(small.buffer);
      smallView.setUint32(56 + 4 * i, to - (56 + 4 * i), true);
      smallView.setInt32(to, to - 20, true);
      smallView.setUint32(to + 16, small.length - (bytes.length - last) - (to + 16), true);
    });
    expect(() => parseOrtAdapter(small, 'x')).toThrow(/overlap/);
  });

  it('never escapes as anything but an OnnxLoraError, whatever bytes change', () => {
    const whole = readFileSync(join(fixtures, 'b.float16.onnx_adapter'));
    const structure = fc.oneof(fc.nat(0x50), fc.nat(whole.length - 1), fc.integer({ min: 0x340, max: 0x390 }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(structure, fc.oneof(fc.nat(255), fc.constantFrom(0, 255, 128)))),
        fc.nat(3 * whole.length),
        (changes, cut) => {
          const bytes = Uint8Array.from(whole.subarray(0, cut));
          for (const [index, value] of changes) if (index < bytes.length) bytes[index] = value;
          try {
            parseOrtAdapter(bytes, 'mutated');
          } catch (error) {
            expect(error).toBeInstanceOf(OnnxLoraError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('formatOrtAdapter', () => {
  it('is read back, and aligns data to eight bytes', () => {
    const tensor = fc
      .record({
        type: fc.constantFrom<DataType>(...Object.values(safetensorsTypes).filter((type) => type !== 'bool')),
        dims: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }),
      })
      .map(({ type, dims }): Tensor => {
        const data = new (arrayOf(type))(sizeOf(dims));
        new Uint8Array(data.buffer).forEach((_, i, bytes) => (bytes[i] = (7 + 31 * i) % 120));
        return { type, dims, data };
      });
    const name = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, tensor), { maxLength: 5 }), (entries) => {
        const tensors = new Map(entries);
        const bytes = formatOrtAdapter(tensors);
        expect([...parseOrtAdapter(bytes, 'memory')]).toEqual([...tensors]);
        const view = new DataView(bytes.buffer);
        for (let i = 0; i < tensors.size; i++) {
          const table = 56 + 4 * i + view.getUint32(56 + 4 * i, true);
          expect((table + 16 + view.getUint32(table + 16, true) + 4) % 8).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('writes the versions', () => {
    const view = new DataView(formatOrtAdapter(new Map()).buffer);
    expect([36, 40, 44].map((at) => view.getInt32(at, true))).toEqual([1, 1, 1]);
  });

  it.each<[string, Tensor, RegExp]>([
    ['', float32([1], [1]), /has no name/],
    ['s', float32([1], []), /give it the shape \[1\]/],
    ['flags', { type: 'bool', dims: [1], data: new Uint8Array(1) }, /bool, which ONNX Runtime refuses/],
    ['short', { type: 'float32', dims: [2], data: new Float32Array(1) }, /holds 1 values/],
  ])('refuses %j', (name, tensor, message) => {
    expect(() => formatOrtAdapter(new Map([[name, tensor]]))).toThrow(message);
  });
});
