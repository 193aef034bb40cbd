/** @file Tests of TensorBoard's files: bytes, checksums, and what a reader finds in them. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { crc32c, TensorBoardWriter } from './tensorBoard.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-board-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Steps and values by tag, as TensorBoard 2.21 read them from the file of {@link written}. */
const readByTensorBoard = {
  'train/loss': [
    [1, 0.5],
    [300, 0.25],
  ],
  'train/lr': [
    [1, 0.001],
    [300, 0.0005],
  ],
  'train/grad_norm': [
    [1, 2],
    [300, 1],
  ],
  'train/samples_per_second': [
    [1, 10],
    [300, 20],
  ],
  'train/memory_bytes': [
    [1, 1073741824],
    [300, 1073741824],
  ],
  'eval/accuracy': [[300, 0.75]],
};

function written(into: string): TensorBoardWriter {
  const board = new TensorBoardWriter(path.join(folder, into), { now: () => 1_700_000_000_500 });
  const step = { type: 'step', steps: 300, epoch: 1, secondsLeft: 1, memory: 2 ** 30 } as const;
  board.add({ ...step, step: 1, loss: 0.5, lr: 0.001, gradNorm: 2, samplesPerSecond: 10 });
  board.add({ ...step, step: 300, loss: 0.25, lr: 0.0005, gradNorm: 1, samplesPerSecond: 20 });
  board.add({ type: 'evaluation', step: 300, metrics: { accuracy: 0.75 }, examples: 4, seconds: 1, best: true });
  board.add({ type: 'checkpoint', step: 300, folder: 'x' });
  board.close();
  return board;
}

interface Event {
  readonly time: number;
  readonly step: number;
  readonly version?: string;
  readonly start?: boolean;
  readonly scalars: Record<string, number>;
}

/** Reads a file as the formats' definitions say, with every checksum. */
function read(file: string): Event[] {
  const bytes = readFileSync(file);
  const events: Event[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Number(bytes.readBigUInt64LE(at));
    const data = bytes.subarray(at + 12, at + 12 + length);
    expect(unmasked(bytes.readUInt32LE(at + 8))).toBe(crc32c(bytes.subarray(at, at + 8)));
    expect(unmasked(bytes.readUInt32LE(at + 12 + length))).toBe(crc32c(data));
    at += length + 16;
    const fields = parse(data);
    const scalars = (fields.get(5) ?? []).flatMap((summary) =>
      (parse(summary as Buffer).get(1) ?? []).map((value) => {
        const scalar = parse(value as Buffer);
        return [(scalar.get(1)![0] as Buffer).toString(), (scalar.get(2)![0] as Buffer).readFloatLE()] as const;
      }),
    );
    events.push({
      time: (fields.get(1)![0] as Buffer).readDoubleLE(),
      step: (fields.get(2)?.[0] as number | undefined) ?? 0,
      ...(fields.has(3) ? { version: (fields.get(3)![0] as Buffer).toString() } : {}),
      ...(fields.has(7) ? { start: parse(fields.get(7)![0] as Buffer).get(1)![0] === 1 } : {}),
      scalars: Object.fromEntries(scalars),
    });
  }
  return events;
}

function unmasked(stored: number): number {
  const rotated = (stored - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** Fields of a protobuf message: numbers, or their bytes. */
function parse(data: Buffer): Map<number, (number | Buffer)[]> {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = data[at++]!;
      value += (byte & 127) * shift;
      if (byte < 128) return value;
    }
  };
  while (at < data.length) {
    const key = varint();
    const size = [undefined, 8, undefined, undefined, undefined, 4][key & 7];
    let value: number | Buffer;
    if ((key & 7) === 0) value = varint();
    else {
      const length = size ?? varint();
      value = data.subarray(at, at + length);
      at += length;
    }
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

describe('the file', () => {
  it('holds what TensorBoard reads', () => {
    const events = read(written('a').file);
    expect(events[0]).toEqual({ time: 1_700_000_000.5, step: 0, version: 'brain.Event:2', scalars: {} });
    const found: Record<string, number[][]> = {};
    for (const { step, scalars } of events)
      for (const [tag, value] of Object.entries(scalars)) (found[tag] ??= []).push([step, value]);
    const expected = Object.entries(readByTensorBoard).map(([tag, points]) => [
      tag,
      points.map(([step, value]) => [step, Math.fround(value!)]),
    ]);
    expect(found).toEqual(Object.fromEntries(expected));
  });

  it('has the bytes of a file that TensorBoard has read', () => {
    const bytes = readFileSync(written('b').file);
    const golden = path.join(import.meta.dirname, '../../../fixtures/events.tfevents');
    expect(bytes.equals(readFileSync(golden))).toBe(true);
  });

  it('gets another name when there is one of the same second', () => {
    written('c');
    written('c');
    const names = readdirSync(path.join(folder, 'c'));
    expect(names).toHaveLength(2);
    expect(names[0]).toMatch(/^events\.out\.tfevents\.1700000000\..+\.0$/);
  });

  it('of a run that continues tells that what came after is void', () => {
    const board = new TensorBoardWriter(path.join(folder, 'd'), { firstStep: 40 });
    board.close();
    expect(read(board.file)[1]).toMatchObject({ step: 41, start: true });
  });

  it('cannot lie in a file', () => {
    writeFileSync(path.join(folder, 'file'), '');
    expect(() => new TensorBoardWriter(path.join(folder, 'file/board'))).toThrow(
      /TensorBoard's file cannot be written/,
    );
  });
});

it('the checksum is that of the standard', () => {
  // RFC 3720, B.4.
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
});
