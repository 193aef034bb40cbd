/** @file The two resampling passes, in WebAssembly. */

import type { Image } from '../../image/image.ts';
import { BAND, pixelProgram } from '../pixelMemory.ts';
import type { ResampleWeights } from './resampleFilters.ts';

/** A range of output pixels along one axis. */
export interface Span {
  readonly from: number;
  readonly count: number;
}

const LOW_BITS = 11;

/** Packs weights in pairs of high and low parts: `room` numbers per output pixel. */
function packed({ weights, stride, count }: ResampleWeights, { from, count: length }: Span, room: number): Int16Array {
  const out = new Int16Array(length * room);
  for (let i = 0; i < length; i++) {
    const start = (from + i) * stride;
    for (let k = 0; k < count[from + i]!; k++) {
      const weight = weights[start + k]!;
      // Four numbers a pair: high, high, low, low.
      const at = i * room + (k >> 1) * 4 + (k & 1);
      out[at] = weight >> LOW_BITS;
      out[at + 2] = weight & ((1 << LOW_BITS) - 1);
    }
  }
  return out;
}

/** Resamples `rows` along x to `columns`: `[rows, columns, 3]`. */
export function resampleColumns(image: Image, table: ResampleWeights, columns: Span, rows: Span): Image {
  const width = columns.count;
  const pairs = Int32Array.from({ length: width }, (_, x) => Math.ceil(table.count[columns.from + x]! / 2));
  const room = 4 * pairs.reduce((most, each) => Math.max(most, each), 0);
  const weights = packed(table, columns, room);
  const first = Int32Array.from({ length: width }, (_, x) => table.first[columns.from + x]! * 3);

  const rowBytes = image.width * 3;
  const bandRows = Math.max(2, 2 * Math.floor(BAND / Math.max(rowBytes, 3 * width) / 2));
  const { program, starts } = pixelProgram([
    4 * width,
    4 * width,
    2 * weights.length,
    bandRows * width * 3,
    bandRows * rowBytes,
  ]);
  const [firstAt = 0, pairsAt = 0, weightsAt = 0, outAt = 0, sourceAt = 0] = starts;
  const { memory } = program;
  const bytes = new Uint8Array(memory.buffer);
  new Int32Array(memory.buffer, firstAt, width).set(first);
  new Int32Array(memory.buffer, pairsAt, width).set(pairs);
  new Int16Array(memory.buffer, weightsAt, weights.length).set(weights);

  const data = new Uint8Array(rows.count * width * 3);
  for (let done = 0; done < rows.count; done += bandRows) {
    const count = Math.min(bandRows, rows.count - done);
    const from = (rows.from + done) * rowBytes;
    bytes.set(image.data.subarray(from, from + count * rowBytes), sourceAt);
    // Bands have an even number of rows; the last row may be surplus.
    for (let y = 0; y < count; y += 2) {
      const [source, out] = [sourceAt + y * rowBytes, outAt + y * width * 3];
      program.horizontal(source, rowBytes, out, width * 3, width, firstAt, pairsAt, weightsAt, 2 * room);
    }
    data.set(bytes.subarray(outAt, outAt + count * width * 3), done * width * 3);
  }
  return { width, height: rows.count, data };
}

/** Resamples along y to `rows`: `[rows, width, 3]`. `offset` is the image's first row in the table. */
export function resampleRows(image: Image, table: ResampleWeights, rows: Span, offset: number): Image {
  const most = table.count.reduce((highest, each) => Math.max(highest, each), 0);
  const room = 4 * Math.ceil(most / 2);
  const weights = packed(table, rows, room);
  const rowBytes = image.width * 3;
  const data = new Uint8Array(rows.count * rowBytes);

  // Bands of output rows keep their input in the cache.
  const bandRows = Math.max(most, Math.floor(BAND / rowBytes));
  const { program, starts } = pixelProgram([2 * weights.length, rowBytes, (bandRows + 1) * rowBytes]);
  const [weightsAt = 0, outAt = 0, sourceAt = 0] = starts;
  const { memory } = program;
  const bytes = new Uint8Array(memory.buffer);
  new Int16Array(memory.buffer, weightsAt, weights.length).set(weights);

  let loaded = { from: 0, count: 0 };
  for (let y = 0; y < rows.count; y++) {
    const from = table.first[rows.from + y]! - offset;
    const count = table.count[rows.from + y]!;
    if (from < loaded.from || from + count > loaded.from + loaded.count) {
      loaded = { from, count: Math.min(bandRows, image.height - from) };
      bytes.set(image.data.subarray(from * rowBytes, (from + loaded.count) * rowBytes), sourceAt);
    }
    const source = sourceAt + (from - loaded.from) * rowBytes;
    program.vertical(source, rowBytes, outAt, rowBytes, Math.ceil(count / 2), weightsAt + 2 * room * y);
    data.set(bytes.subarray(outAt, outAt + rowBytes), y * rowBytes);
  }
  return { width: image.width, height: rows.count, data };
}
