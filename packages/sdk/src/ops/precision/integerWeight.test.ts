/** @file Integer weights read block by block are those of the formula on the whole matrix; their origin names all they depend on. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Bytes, type ComputedBytes, readBytes } from '../../graph/bytes.ts';
import { dataTypeNumber } from '../../graph/dataType.ts';
import type { TensorProto } from '../../graph/proto.ts';
import { Random } from '../../runtime/random.ts';
import { integerWeight } from './integerWeight.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-integer-weight-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const random = new Random(5);

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function weight(name: string, dims: readonly number[], rawData: Bytes): TensorProto {
  return { name, dims: [...dims], dataType: dataTypeNumber('float32'), rawData };
}

/** Codes `[in, out]` and scales, number by number. */
function expected(parts: readonly (readonly [Float32Array, rows: number, columns: number])[], isTransposed: boolean, saturates: boolean) {
  const [, rows, columns] = parts[0]!;
  const out = isTransposed ? rows : columns;
  const insides = parts.map(([, r, c]) => (isTransposed ? c : r));
  const at = (part: number, i: number, j: number): number =>
    parts[part]![0][isTransposed ? j * insides[part]! + i : i * out + j]!;
  const scales = new Float32Array(out);
  for (let j = 0; j < out; j++) {
    for (const [part, inside] of insides.entries()) {
      for (let i = 0; i < inside; i++) {
        const pair = saturates && i % 2 === 1 ? Math.abs(at(part, i, j) + at(part, i - 1, j)) : 0;
        scales[j] = Math.max(scales[j]!, Math.abs(at(part, i, j)), pair);
      }
    }
    scales[j] = scales[j]! / 127 || 1;
  }
  const codes: number[] = [];
  for (const [part, inside] of insides.entries()) for (let i = 0; i < inside; i++) for (let j = 0; j < out; j++) codes.push(at(part, i, j) / scales[j]!);
  return { scales, codes };
} // prettier-ignore

describe.each([
  ['in memory', false],
  ['in a file', true],
])('%s', (_, isInFile) => {
  it.each([
    // More than a block of a million numbers, with a last block of few rows; and less.
    [1500, 801, false, true],
    [1500, 801, true, true],
    [1500, 801, true, false],
    [7, 5, false, true],
    [7, 5, true, false],
  ])('%i × %i, transposed %s, saturating %s', (rows, columns, isTransposed, saturates) => {
    const parts = [0, 1].map(() => Float32Array.from({ length: rows * columns }, () => random.normal()));
    const file = path.join(folder, `${isInFile}-${rows}-${isTransposed}-${saturates}`);
    if (isInFile) writeFileSync(file, Buffer.concat(parts.map(bytesOf)));
    const tensors = parts.map((values, i) =>
      weight(
        `w${i}`,
        [rows, columns],
        isInFile ? { path: file, offset: i * values.byteLength, length: values.byteLength } : bytesOf(values),
      ),
    ) as [TensorProto, TensorProto];
    const { values, scales } = integerWeight(tensors, isTransposed, saturates);
    const wanted = expected(parts.map((own) => [own, rows, columns]), isTransposed, saturates); // prettier-ignore
    expect(new Float32Array(readBytes(scales.rawData!).slice().buffer)).toEqual(wanted.scales);
    const codes = new Int8Array(readBytes(values.rawData!).slice().buffer);
    expect(codes).toHaveLength(wanted.codes.length);
    expect(values.dims).toEqual([codes.length / wanted.scales.length, wanted.scales.length]);
    // A half may be rounded either way.
    let most = 0;
    codes.forEach((code, i) => (most = Math.max(most, Math.abs(code - wanted.codes[i]!))));
    expect(most).toBeLessThan(0.5001);
  });
});

it('names ranges, identities and ways; knows nothing of numbers in memory', () => {
  const slice = { path: 'w.bin', offset: 8, length: 24, identity: 'inode 7' };
  const originOf = (raw: Bytes, isTransposed = false, saturates = true): ComputedBytes['origin'] =>
    (integerWeight([weight('w', [2, 3], raw)], isTransposed, saturates).values.rawData as ComputedBytes).origin;
  const first = originOf(slice)!;
  expect(originOf({ ...slice })).toEqual(first);
  const others = [originOf({ ...slice, identity: 'inode 8' }), originOf({ ...slice, offset: 32 }), originOf({ ...slice, path: 'v.bin' }), originOf(slice, true), originOf(slice, false, false)]; // prettier-ignore
  expect(new Set([first, ...others].map((each) => each!.key)).size).toBe(6);
  expect(originOf(new Uint8Array(24))).toBeUndefined();
});
