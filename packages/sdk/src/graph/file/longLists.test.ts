/** @file Tests of nodes with long lists, such as the trees of a forest: they are read and written in pieces, and not value by value. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { FileSource, memorySource, readBytes } from '../bytes.ts';
import { decodeGraph } from './decode.ts';
import { encodeGraph } from './encode.ts';

const text = new TextEncoder();
const ints = (count: number): number[] => Array.from({ length: count }, (_, i) => (i % 3 === 0 ? i : i * 4099 - 5_000));
const floats = (count: number): number[] => Array.from({ length: count }, (_, i) => Math.fround(i / 7));
const strings = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => text.encode(`BRANCH_${i}`));

/** A graph as Python writes it: each number of a list has a tag of its own, as protobuf's second version does. */
function unpacked(count: number): Uint8Array {
  const varint = (value: number): number[] => {
    const bytes: number[] = [];
    for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
      bytes.push(Number(rest & 0x7fn) + (rest >= 0x80n ? 0x80 : 0));
      if (rest < 0x80n) return bytes;
    }
  };
  const message = (field: number, content: Iterable<number>): number[] => {
    const bytes = [...content];
    return [field * 8 + 2, ...varint(bytes.length), ...bytes];
  };
  const attribute = [
    ...message(1, text.encode('nodes')),
    ...floats(count).flatMap((value) => [61, ...Buffer.from(Float32Array.of(value).buffer)]),
    ...ints(count).flatMap((value) => [64, ...varint(value)]),
    ...strings(count).flatMap((value) => message(9, value)),
  ];
  return Uint8Array.from(message(1, message(5, attribute)));
}

function attributeOf(bytes: Uint8Array) {
  return decodeGraph(memorySource(bytes), 'test').node![0]!.attribute![0]!;
}

test('lists without packing are read as they are, and written again as they are', () => {
  const found = attributeOf(unpacked(3000));
  expect(found.floats).toEqual(floats(3000));
  expect(found.ints).toEqual(ints(3000));
  expect(found.strings!.map((value) => Buffer.from(readBytes(value)).toString())).toEqual(strings(3000).map((value) => Buffer.from(value).toString())); // prettier-ignore
  const chunks = encodeGraph({ node: [{ attribute: [found] }] });
  expect(attributeOf(Uint8Array.from(Buffer.concat(chunks.map(readBytes))))).toEqual(found);
});

test('no number takes a view of the file, and no text a piece of the output', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-lists-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const read = (count: number): { views: number; chunks: number } => {
    const file = path.join(folder, `${count}.onnx`);
    writeFileSync(file, unpacked(count));
    const source = new FileSource(file);
    const view = vi.spyOn(source, 'view');
    const graph = decodeGraph(source, file);
    source.close();
    return { views: view.mock.calls.length, chunks: encodeGraph(graph).length };
  };
  const [few, many] = [read(500), read(1000)];
  // Each text is copied out of the file by one view; numbers by none but where the window moves.
  expect(many.views - few.views).toBeLessThan(500 + 20);
  expect(many.chunks).toBe(few.chunks);
});
