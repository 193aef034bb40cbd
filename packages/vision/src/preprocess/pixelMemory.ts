/** @file The WebAssembly for pixels and its memory, since JavaScript has no SIMD. */

import { fromBase64 } from '@onnx-lora/sdk/platform';
import { program } from './pixelProgram.ts';

/** Exports of wasm/pixels.wat, documented there. */
export interface PixelProgram {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  horizontal(
    source: number,
    stride: number,
    out: number,
    outStride: number,
    width: number,
    first: number,
    pairs: number,
    weights: number,
    weightStride: number,
  ): void;
  vertical(source: number, stride: number, out: number, length: number, pairs: number, weights: number): void;
  normalize(source: number, count: number, table: number, red: number, green: number, blue: number): void;
}

/** Bytes of pixels per band, to fit a core's second-level cache. */
export const BAND: number = 256 * 1024;
const SLACK = 64;
const PAGE = 65_536;
/** A memory above this is dropped after use. */
const LARGEST_KEPT = 64 * 1024 * 1024;

/** Node's WebAssembly, which its types only declare with a browser's. */
const { Instance, Module } = (
  globalThis as unknown as {
    WebAssembly: {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object) => { readonly exports: PixelProgram };
    };
  }
).WebAssembly;

let current: PixelProgram | undefined;

/** The program with memory areas of these sizes, and their offsets. Invalidates previous contents and views. */
export function pixelProgram(sizes: readonly number[]): { program: PixelProgram; starts: readonly number[] } {
  let end = 0;
  const starts = sizes.map((size) => {
    const start = end;
    end += Math.ceil((size + SLACK) / 16) * 16;
    return start;
  });
  const found = (current ??= new Instance(new Module(fromBase64(program))).exports);
  const missing = end - found.memory.buffer.byteLength;
  if (missing > 0) found.memory.grow(Math.ceil(missing / PAGE));
  if (found.memory.buffer.byteLength > LARGEST_KEPT) current = undefined;
  return { program: found, starts };
}
