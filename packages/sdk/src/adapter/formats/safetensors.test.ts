/** @file Tests of the safetensors reader and writer against files of the reference library, and against damage. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OnnxLoraError } from '../../errors.ts';
import { type DataType, type Tensor, arrayOf, float32, sizeOf, tensor } from '../../runtime/tensor.ts';
import { formatSafetensors, parseSafetensors, readSafetensors, writeSafetensors } from './safetensors.ts';
import { safetensorsTypes } from './safetensorsHeader.ts';

const fixture = join(import.meta.dirname, '../../../fixtures/adapters/safetensors/every-type.safetensors');
const oracle = join(import.meta.dirname, '../../../../../../shared/oracle');

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'onnx-lora-'))));
afterAll(() => rm(folder, { recursive: true }));

/** The bytes of a file with this header, however wrong. */
function file(header: unknown, dataSize: number): Uint8Array {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = Buffer.alloc(8 + json.length + dataSize);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return bytes;
}

const f32 = (shape: unknown, ...data_offsets: unknown[]): object => ({ dtype: 'F32', shape, data_offsets });

describe('a file of the reference library', () => {
  it('is read with types, shapes and values', async () => {
    const { tensors, metadata } = await readSafetensors(fixture);
    expect(metadata).toEqual({ format: 'pt' });
    expect(tensors.size).toBe(17);
    expect(tensors.get('z.float32')).toEqual(float32([1.5], []));
    expect(tensors.get('empty')).toEqual(float32([], [0, 4]));
    expect(tensors.get('name "é\n\x01\x7f\u{1F600}')).toEqual(float32([-2], [1, 1]));
    expect(tensors.get('bool.a')).toEqual(tensor('bool', Uint8Array.of(0, 1), [2]));
    // Byte j of the tensor number i is (37 j + 11 i) mod 128: uint16.a is number 3.
    expect(tensors.get('uint16.a')!.data).toEqual(
      Uint16Array.of(33 + 256 * 70, 107 + 256 * (144 % 128), (181 % 128) + 256 * (218 % 128)),
    );
    expect(tensors.get('bfloat16.a')!.data).toEqual(Uint16Array.of(66 + 256 * 103, (140 % 128) + 256 * (177 % 128)));
    expect(tensors.get('uint64.a')!.data).toBeInstanceOf(BigUint64Array);
  });

  it('is written again byte for byte, in whatever order the tensors come', () => {
    const bytes = readFileSync(fixture);
    const { tensors, metadata } = parseSafetensors(bytes, 'every-type');
    const shuffled = new Map([...tensors].reverse());
    expect(Buffer.from(formatSafetensors(shuffled, metadata)).equals(bytes)).toBe(true);
  });

  it('has no tensors and no metadata in its smallest form', () => {
    expect(Buffer.from(formatSafetensors(new Map())).toString('latin1')).toBe('\x08\0\0\0\0\0\0\0{}      ');
  });

  it.skipIf(!existsSync(oracle))('is written again byte for byte, for every adapter of the oracle', () => {
    const files = readdirSync(oracle, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('adapter_model.safetensors'),
    );
    expect(files.length).toBeGreaterThan(100);
    for (const name of files) {
      const bytes = readFileSync(join(oracle, name));
      const { tensors, metadata } = parseSafetensors(bytes, name);
      expect(Buffer.from(formatSafetensors(tensors, metadata)).equals(bytes), name).toBe(true);
    }
  });
});

const anyTensor: fc.Arbitrary<Tensor> = fc
  .record({
    type: fc.constantFrom<DataType>(...Object.values(safetensorsTypes)),
    dims: fc.array(fc.nat(4), { maxLength: 3 }),
    seed: fc.nat(255),
  })
  .map(({ type, dims, seed }) => {
    const data = new (arrayOf(type))(sizeOf(dims));
    new Uint8Array(data.buffer).forEach((_, i, bytes) => (bytes[i] = (seed + 31 * i) % 120));
    return { type, dims, data };
  });
const anyTensors = fc
  .array(fc.tuple(fc.string({ unit: 'grapheme' }), anyTensor), { maxLength: 6 })
  .map((entries) => new Map(entries));

describe('round trip', () => {
  it('keeps tensors, names and metadata', () => {
    fc.assert(
      fc.property(anyTensors, fc.dictionary(fc.string(), fc.string()), (tensors, metadata) => {
        const bytes = formatSafetensors(tensors, metadata);
        const back = parseSafetensors(bytes, 'memory');
        expect(new Map([...back.tensors].sort(byName))).toEqual(new Map([...tensors].sort(byName)));
        expect(Object.entries(back.metadata)).toEqual(Object.entries(metadata));
        expect(formatSafetensors(back.tensors, back.metadata)).toEqual(bytes);
      }),
      { numRuns: 150 },
    );
  });

  it('goes through a file, and gives each tensor memory of its own', async () => {
    const path = join(folder, 'new/file.safetensors');
    // A view into the middle of other memory.
    const view = new Float32Array([9, 1, 2, 9]).subarray(1, 3);
    await writeSafetensors(path, new Map([['__proto__', float32(view, [2])]]), { ['__proto__']: 'x' });
    const { tensors, metadata } = await readSafetensors(path);
    expect([...tensors]).toEqual([['__proto__', float32([1, 2], [2])]]);
    expect(Object.entries(metadata)).toEqual([['__proto__', 'x']]);
    expect(Object.getPrototypeOf(metadata)).toBe(Object.prototype);
    expect(tensors.get('__proto__')!.data.byteOffset).toBe(0);
    expect(await readFile(path)).toHaveLength(8 + 96 + 8);
  });

  it('copies: changing a parsed tensor leaves the bytes as they were', () => {
    const bytes = formatSafetensors(new Map([['a', float32([1], [1])]]));
    parseSafetensors(bytes, 'memory').tensors.get('a')!.data[0] = 5;
    expect(parseSafetensors(bytes, 'memory').tensors.get('a')!.data[0]).toBe(1);
  });
});

describe('a damaged or hostile file', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(), /has 0 bytes/],
    ['header of 2^63 bytes', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 128), /claims 9223372036854775808 bytes/],
    ['header over the limit', Uint8Array.of(1, 225, 245, 5, 0, 0, 0, 0), /at most 100000000/],
    [
      'header longer than the file',
      Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 123),
      /claims 9 bytes, but the file has only 9/,
    ],
    ['not JSON', file('{', 0), /not JSON/],
    ['not UTF-8', file('{"a\u00ff":1}', 0).map((b) => (b === 0xc3 ? 0xff : b)), /not JSON/],
    ['a byte order mark', file('\ufeff{}', 0), /not JSON/],
    ['an array', file([], 0), /not a JSON object/],
    ['null', file('null', 0), /not a JSON object/],
    ['deep nesting', file('['.repeat(100_000), 0), /not JSON/],
    ['a repeated tensor', file('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0061" :{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1), /holds "a" twice/], // prettier-ignore
    ['a repeated field', file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}', 0), /holds "dtype" twice/], // prettier-ignore
    ['an unknown type', file({ a: { dtype: 'F4', shape: [], data_offsets: [0, 4] } }, 4), /element type "F4"/],
    ['a type from the prototype', file({ a: { dtype: 'toString', shape: [], data_offsets: [0, 4] } }, 4), /"toString"/],
    ['no object', file({ a: 3 }, 0), /tensor "a" is not described by an object/],
    ['a negative dimension', file({ a: f32([-1], 0, 4) }, 4), /no shape of whole numbers/],
    ['a fraction', file({ a: f32([0.5], 0, 2) }, 2), /no shape of whole numbers/],
    ['a shape of text', file({ a: f32('4', 0, 16) }, 16), /no shape of whole numbers/],
    ['an overflowing shape', file({ a: f32([2 ** 32, 2 ** 32], 0, 0) }, 0), /impossible shape/],
    ['the wrong size', file({ a: f32([2, 3], 0, 20) }, 20), /shape \[2, 3\] needs 24 bytes, but 20 are given/],
    ['three offsets', file({ a: f32([1], 0, 4, 8) }, 8), /no data_offsets/],
    ['offsets the wrong way round', file({ a: f32([1], 4, 0) }, 4), /no data_offsets/],
    [
      'an overlap',
      file({ a: f32([2], 0, 8), b: f32([2], 4, 12) }, 12),
      /"b" begins at byte 4, where 8 was expected: data overlap/,
    ],
    [
      'a gap',
      file({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
      /"b" begins at byte 8, where 4 was expected: data have a gap/,
    ],
    ['bytes at the end', file({ a: f32([1], 0, 4) }, 5), /take 4 bytes, but 5 bytes of data are there/],
    ['bytes missing', file({ a: f32([2], 0, 8) }, 4), /take 8 bytes, but 4 bytes of data are there/],
    ['metadata of numbers', file({ __metadata__: { a: 1 } }, 0), /metadata "a" is not a string/],
    ['metadata of text', file({ __metadata__: 'x' }, 0), /__metadata__ is not an object/],
    ['a zip archive', Buffer.from('PK\x03\x04\0\0\x08\x08\0\0', 'latin1'), /PyTorch pickle/],
    ['a bare pickle', Buffer.from('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j', 'latin1'), /PyTorch pickle/],
    ['a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), /git lfs pull/],
  ];

  it.each(cases)('is refused, in memory and on disk: %s', async (_, bytes, message) => {
    expect(() => parseSafetensors(bytes, 'adapter_model.safetensors')).toThrow(message);
    expect(() => parseSafetensors(bytes, 'adapter_model.safetensors')).toThrow(/^"adapter_model.safetensors" is /);
    const path = join(folder, 'damaged.safetensors');
    await writeFile(path, bytes);
    await expect(readSafetensors(path)).rejects.toThrow(message);
    await expect(readSafetensors(path)).rejects.toBeInstanceOf(OnnxLoraError);
  });

  it('names as many tensors as it may, and no more', () => {
    const named = (count: number): Uint8Array => file(Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, f32([0], 0, 0)])), 0); // prettier-ignore
    expect(parseSafetensors(named(20), 'x', 20).tensors.size).toBe(20);
    expect(() => parseSafetensors(named(22), 'x', 20)).toThrow('"x" describes more than the 20 tensors');
    // Neither is JSON to its end: it was not parsed.
    expect(() => parseSafetensors(file(`{${'"a":1,'.repeat(1100)}`, 0), 'x', 20)).toThrow('more than 1080 members');
    expect(() => parseSafetensors(file(`{"a":"${'x'.repeat(5e6)}`, 0), 'x', 20)).toThrow('more than the 20 tensors');
  });

  it('may have a text of any length', () => {
    const { metadata } = parseSafetensors(file({ __metadata__: { a: '\\"'.repeat(5e6) } }, 0), 'x');
    expect(metadata['a']).toHaveLength(1e7);
  });

  it('is told apart from a pickle by more than its first bytes', () => {
    // A header of 0x0280 bytes begins as a pickle of protocol 2 does.
    expect(parseSafetensors(file(`{}${' '.repeat(638)}`, 0), 'x').tensors.size).toBe(0);
  });

  it('never escapes as anything but an OnnxLoraError, whatever bytes change', () => {
    const whole = formatSafetensors(new Map([['a', float32([1, 2], [2])], ['b', float32([3], [1, 1])]]), { k: 'v' }); // prettier-ignore
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255))), fc.nat(whole.length), (changes, cut) => {
        const bytes = whole.slice(0, cut % 3 === 0 ? cut : whole.length);
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          parseSafetensors(bytes, 'mutated');
        } catch (error) {
          expect(error).toBeInstanceOf(OnnxLoraError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('says what to do', () => {
    expect(() => parseSafetensors(file({ a: f32([2], 0, 4) }, 4), 'x.safetensors')).toThrowErrorMatchingInlineSnapshot(
      `[OnnxLoraError: "x.safetensors" is not a valid safetensors file: tensor "a" of type F32 and shape [2] needs 8 bytes, but 4 are given. It may be cut short or damaged: copy or download it again.]`,
    );
  });

  it('names a missing file and a folder', async () => {
    await expect(readSafetensors(join(folder, 'none'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
    await expect(readSafetensors(folder)).rejects.toMatchObject({ code: 'FILE_INVALID' });
  });
});

describe('a tensor that the format cannot hold', () => {
  it.each([
    ['__metadata__', float32([1], [1])],
    ['\ud800', float32([1], [1])],
    ['short', { type: 'float32', dims: [2], data: new Float32Array(1) } as Tensor],
    ['other storage', { type: 'float16', dims: [1], data: new Float32Array(1) } as Tensor],
  ])('is refused: %j', (name, value) => {
    expect(() => formatSafetensors(new Map([[name, value]]))).toThrow(OnnxLoraError);
  });
});

function byName(a: [string, unknown], b: [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}
