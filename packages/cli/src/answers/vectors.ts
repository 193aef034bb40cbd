/** @file Formats vectors in answers, such as embeddings: `Float32Array`s of equal width. */

import type { Prediction } from '@onnx-lora/sdk/tasks';
import { grouped, short } from '../terminal/table.ts';

/** The shortest number that is the same float32. */
export function plainNumber(value: number): number {
  for (const digits of [6, 7, 8]) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return Number(value.toPrecision(9));
}

/** Vectors as lists, for JSON. */
export function withLists(answer: Prediction): Prediction {
  return Object.fromEntries(
    Object.entries(answer).map(([name, value]) => [
      name,
      value instanceof Float32Array ? Array.from(value, plainNumber) : value,
    ]),
  );
}

/** Vectors as columns `embedding0`, `embedding1` …, for tables. */
export function withColumns(answer: Prediction): Prediction {
  return Object.fromEntries(
    Object.entries(answer).flatMap(([name, value]): (readonly [string, unknown])[] =>
      value instanceof Float32Array
        ? Array.from(value, (each, i) => [`${name}${i}`, plainNumber(each)] as const)
        : [[name, value]],
    ),
  );
}

/** A vector in short: `0.12 -1.3 0.5 … (320 numbers)`. */
export function briefVector(vector: Float32Array): string {
  const first = Array.from(vector.subarray(0, 3), short).join(' ');
  return vector.length <= 3 ? first : `${first} … (${grouped(vector.length)} numbers)`;
}
