/**
 * @file Checkpoints that were drawn at random, with transformers' answers: `packages/build/fixtures/drawn`. Weights and inputs
 * are not stored. Both sides make them from their names, by the same hash.
 */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { toHalf, toShorts } from '@onnx-lora/sdk/tasks';

/** An input of a run: integers, or numbers from a hash of `seed`. */
interface DrawnInput {
  readonly dims: readonly number[];
  readonly values?: readonly number[];
  readonly seed?: string;
  readonly low?: number;
  readonly high?: number;
  /** How often the first row stands there. */
  readonly repeat?: number;
}

/** An output of a run: numbers at some places, base64 of float32. */
interface DrawnOutput {
  readonly dims: readonly number[];
  readonly at: readonly number[];
  readonly values: string;
}

/** One checkpoint. */
export interface DrawnCheckpoint {
  readonly id: string;
  readonly architecture: string;
  /** `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Type, shape and range of values per tensor. */
  readonly tensors: Readonly<
    Record<string, readonly [type: string, dims: readonly number[], low: number, high: number]>
  >;
  readonly runs: readonly {
    readonly id: string;
    readonly graph: string;
    readonly inputs: Readonly<Record<string, DrawnInput>>;
    readonly outputs: Readonly<Record<string, DrawnOutput>>;
  }[];
}

/** The checkpoints of a model type. */
export interface DrawnType {
  readonly cases: readonly DrawnCheckpoint[];
  /** Each field that transformers has, by its path, with its value where a config does not say. */
  readonly fields: Readonly<Record<string, unknown>>;
}

/** All checkpoints of a folder of `TYPE.json.gz`, by model type. */
export function drawnCheckpoints(folder: string): Map<string, DrawnType> {
  const files = readdirSync(folder).filter((name) => name.endsWith('.json.gz'));
  return new Map(
    files.map((name) => {
      const text = gunzipSync(readFileSync(path.join(folder, name))).toString();
      return [name.replace('.json.gz', ''), JSON.parse(text) as DrawnType];
    }),
  );
}

/** Writes a checkpoint as a case of the conformance runner. */
export function writeCheckpoint({ id, architecture, config, tensors, runs }: DrawnCheckpoint, folder: string): void {
  mkdirSync(folder, { recursive: true });
  const weights = Object.entries(tensors).map(([name, [type, dims, low, high]]) => {
    return { name, type, dims, bytes: stored(seeded(name, sizeOf(dims), low, high), type) };
  });
  const golden = runs.flatMap((run) => [
    ...Object.entries(run.inputs).map(([name, input]) => ({ name: `${run.id}.input.${name}`, ...fed(input) })),
    ...Object.entries(run.outputs).flatMap(([name, output]) => answered(run.id, name, output)),
  ]);
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(path.join(folder, 'model.safetensors'), safetensors(weights));
  writeFileSync(path.join(folder, 'golden.safetensors'), safetensors(golden));
  const listed = runs.map((run) => ({
    ...run,
    inputs: Object.keys(run.inputs),
    outputs: Object.keys(run.outputs),
  }));
  writeFileSync(path.join(folder, 'case.json'), JSON.stringify({ id, architecture, runs: listed }));
}

interface Stored {
  readonly name: string;
  readonly type: string;
  readonly dims: readonly number[];
  readonly bytes: Uint8Array;
}

function fed({ dims, values, seed, low = 0, high = 0, repeat = 1 }: DrawnInput): Omit<Stored, 'name'> {
  if (values) return { type: 'I64', dims, bytes: bytesOf(BigInt64Array.from(values, BigInt)) };
  const made = bytesOf(seeded(seed!, sizeOf(dims), low, high));
  const rows = [dims[0]! * repeat, ...dims.slice(1)];
  return { type: 'F32', dims: rows, bytes: Buffer.concat(Array<Uint8Array>(repeat).fill(made)) };
}

function answered(run: string, name: string, { dims, at, values }: DrawnOutput): Stored[] {
  const size = sizeOf(dims);
  const [numbers, valid] = [new Float32Array(size), new Uint8Array(size)];
  const kept = Buffer.from(values, 'base64');
  for (const [i, place] of at.entries()) {
    numbers[place] = kept.readFloatLE(4 * i);
    valid[place] = 1;
  }
  return [
    { name: `${run}.output.${name}`, type: 'F32', dims, bytes: bytesOf(numbers) },
    { name: `${run}.valid.${name}`, type: 'U8', dims, bytes: valid },
  ];
}

/** Numbers from `low` to `high` by a hash of the name and the place: those of `seeded` in drawn.py, to the last bit. */
function seeded(name: string, size: number, low: number, high: number): Float32Array {
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 16777619);
  return Float32Array.from({ length: size }, (_, i) => {
    let x = (Math.imul(i, 0x9e3779b9) + state) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return low + (high - low) * (((x ^ (x >>> 15)) >>> 0) / 2 ** 32);
  });
}

function stored(numbers: Float32Array, type: string): Uint8Array {
  if (type === 'F32') return bytesOf(numbers);
  return bytesOf(toShorts(numbers, type === 'F16' ? toHalf : toBrain));
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** bfloat16 of a number, rounded to the nearest, to even where two are as near. */
function toBrain(value: number): number {
  word[0] = value;
  return (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) >>> 16;
}

function safetensors(tensors: readonly Stored[]): Uint8Array {
  let at = 0;
  const header = tensors.map(({ name, type, dims, bytes }) => {
    const offsets = [at, (at += bytes.length)];
    return [name, { dtype: type, shape: dims, data_offsets: offsets }] as const;
  });
  const text = Buffer.from(JSON.stringify(Object.fromEntries(header)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...tensors.map(({ bytes }) => bytes)]);
}

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function sizeOf(dims: readonly number[]): number {
  return dims.reduce((size, dim) => size * dim, 1);
}
