/** @file Rows of batches. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';

/** Rows of several arrays in one. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Some rows of the feeds that have as many as the batch. */
export function gathered(feeds: Feeds, places: readonly number[], rows: number): Feeds {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, own]) => [name, own.dims[0] === rows ? rowsAt(own, places) : own]),
  );
}

function rowsAt({ type, dims, data }: Tensor, places: readonly number[]): Tensor {
  const each = data.length / dims[0]!;
  const picked = new (data.constructor as Float32ArrayConstructor)(each * places.length);
  places.forEach((place, i) => picked.set((data as Float32Array).subarray(place * each, (place + 1) * each), i * each));
  return { type, dims: [places.length, ...dims.slice(1)], data: picked };
}

/** The outputs of groups of rows, each at its rows' places. */
export function scattered(
  outputs: readonly Readonly<Record<string, Tensor>>[],
  places: readonly (readonly number[])[],
): Record<string, Tensor> {
  const rows = places.flat().length;
  return Object.fromEntries(
    Object.keys(outputs[0]!).map((name) => {
      const { type, dims, data: first } = outputs[0]![name]!;
      const each = first.length / dims[0]!;
      const data = new (first.constructor as Float32ArrayConstructor)(each * rows);
      outputs.forEach((output, group) =>
        places[group]!.forEach((place, i) =>
          data.set((output[name]!.data as Float32Array).subarray(i * each, (i + 1) * each), place * each),
        ),
      );
      return [name, { type, dims: [rows, ...dims.slice(1)], data }];
    }),
  );
}
