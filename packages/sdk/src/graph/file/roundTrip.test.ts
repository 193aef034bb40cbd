/** @file Decoding and encoding lose nothing, of known and unknown fields. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { vitModel } from '../../../../../test/fixtures/vit.ts';
import { caseFolders } from '../../../../../test/support/caseFolders.ts';
import { memorySource, readBytes } from '../bytes.ts';
import { decodeGraph, decodeModel, decodeTensor } from './decode.ts';
import { encodeGraph, encodeModel } from './encode.ts';
import type { ModelProto } from '../proto.ts';
import { type Field, graphMessage, type Message, modelMessage } from './schema.ts';

const joined = (chunks: ReturnType<typeof encodeModel>): Uint8Array =>
  Uint8Array.from(Buffer.concat(chunks.map(readBytes)));
const encode = (model: ModelProto): Uint8Array => joined(encodeModel(model));
const decode = (bytes: Uint8Array): ModelProto => decodeModel(memorySource(bytes), 'test');

describe('models', () => {
  test('a Vision Transformer', () => {
    const model = vitModel({ hidden: 16, layers: 2, heads: 2, image: 16, patch: 8, classes: 3 });
    const bytes = encode(model);
    expect(isDeepStrictEqual(encode(decode(bytes)), bytes)).toBe(true);
  });

  // Torch's writer does not pack repeated integers, so that bytes differ, but only once.
  test.each(caseFolders())('%s', (_, folder) => {
    const bytes = Uint8Array.from(readFileSync(join(folder, 'model.onnx')));
    const model = decode(bytes);
    const again = encode(model);
    expect(isDeepStrictEqual(decode(again), model)).toBe(true);
    expect(isDeepStrictEqual(encode(decode(again)), again)).toBe(true);
    // Nothing but tags and lengths of packed lists is saved.
    expect(again.length).toBeGreaterThan(0.97 * bytes.length);
  });
});

describe('random messages', () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 6 }), fc.constant('\uFEFFmark'));
  const bytes = fc.uint8Array({ maxLength: 12 });
  // As the decoder has it: a bigint only where a number is not exact.
  const int = fc.oneof(
    fc.maxSafeInteger(),
    fc
      .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
      .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value)),
    fc.constantFrom(2n ** 63n - 1n, -(2n ** 63n), 2 ** 53 - 1, 2n ** 53n, -(2 ** 53) + 1, -1, 0),
  );
  const scalars: Record<string, fc.Arbitrary<unknown>> = {
    int,
    float: fc.float(),
    string: text,
    bytes,
    packed: bytes,
  };
  const fieldOf = ({ kind, repeated }: Field, depth: number): fc.Arbitrary<unknown> => {
    const one = typeof kind === 'string' ? scalars[kind]! : messageOf(kind, depth - 1);
    return repeated ? fc.array(one, { minLength: 1, maxLength: 2 }) : one;
  };
  const messageOf = (type: Message, depth: number): fc.Arbitrary<Record<string, unknown>> => {
    const fields = [...type.fields.values()].filter(({ kind }) => depth > 0 || typeof kind === 'string');
    return fc.record(Object.fromEntries(fields.map((field) => [field.name, fieldOf(field, depth)])), {
      requiredKeys: [],
      noNullPrototype: true,
    });
  };

  test('models', () => {
    fc.assert(
      fc.property(messageOf(modelMessage, 3), (model) => isDeepStrictEqual(decode(encode(model)), model)),
      { seed: 1, numRuns: 300 },
    );
  });

  test('graphs', () => {
    fc.assert(
      fc.property(messageOf(graphMessage, 4), (graph) =>
        isDeepStrictEqual(decodeGraph(memorySource(joined(encodeGraph(graph))), 'test'), graph),
      ),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe('what the schema does not know', () => {
  const block = (number: number, content: Uint8Array | readonly number[]): number[] => [
    number * 8 + 2,
    content.length,
    ...content,
  ];

  test('fields survive at every level, of every wire type', () => {
    const unknown = [
      [0xf0, 1, 0x96, 0x01], // 30: varint 150
      [0xf9, 1, 1, 2, 3, 4, 5, 6, 7, 8], // 31: 64-bit
      [0xfd, 1, 1, 2, 3, 4], // 31: 32-bit
      [0xfa, 1, 3, 7, 8, 9], // 31: bytes
    ].flat();
    const node = [...block(4, Buffer.from('Relu')), ...unknown];
    const graph = [...block(1, node), ...unknown];
    const bytes = Uint8Array.from([...block(7, graph), ...unknown]);
    const model = decode(bytes);
    expect(model.graph!.node![0]!.unknown).toHaveLength(4);
    expect([...encode(model)]).toEqual([...bytes]);
  });

  test('a known field of another wire type is kept as it stands', () => {
    // producer_name (2) as a varint.
    const bytes = Uint8Array.of(2 * 8, 5);
    expect(decode(bytes).producerName).toBeUndefined();
    expect([...encode(decode(bytes))]).toEqual([...bytes]);
  });

  test('types of sequences and maps', () => {
    // ValueInfoProto { name: "s", type: { sequence_type(4): { elem_type(1): {} } } }
    const type = block(4, block(1, []));
    const bytes = Uint8Array.from(block(7, block(11, [...block(1, Buffer.from('s')), ...block(2, type)])));
    expect([...encode(decode(bytes))]).toEqual([...bytes]);
  });
});

describe('numbers', () => {
  test.each([2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -1, 0, 2 ** 53 - 1, 127, 128])('int64 %s', (i) => {
    const model: ModelProto = { graph: { node: [{ attribute: [{ name: 'a', i, ints: [i, i] }] }] } };
    expect(decode(encode(model))).toEqual(model);
  });

  test('unpacked lists are read as packed ones', () => {
    // TensorProto.dims (1) as two varints, float_data (4) as two 32-bit fields.
    const one = [...Buffer.from(Float32Array.of(1).buffer)];
    const bytes = Uint8Array.from([8, 2, 8, 3, 37, ...one, 37, ...one, 16, 1]);
    const tensor = decodeTensor(memorySource(bytes), 'test');
    expect(tensor.dims).toEqual([2, 3]);
    expect([...(tensor.floatData as Uint8Array)]).toEqual([...one, ...one]);
  });
});
