/** @file The WebAssembly that works on pixels, and its memory: JavaScript cannot multiply eight numbers at once. */

import { program } from './pixelProgram.ts';

/** What wasm/pixels.wat exports; its arguments are explained there. */
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

/** Bytes of pixels that are worked on at a time: what fits into the second-level cache of a core. */
export const BAND: number = 256 * 1024;
/** The program reads so many bytes more than it uses, at most. */
const SLACK = 64;
const PAGE = 65_536;
/** A memory that a huge image has made larger than this is not kept. */
const LARGEST_KEPT = 64 * 1024 * 1024;

/** Node's; its types do not name it without those of a browser. */
const { Instance, Module } = (
  globalThis as unknown as {
    WebAssembly: {
      Module: new (bytes: Uint8Array) => object;
      Instance: new (module: object) => { readonly exports: PixelProgram };
    };
  }
).WebAssembly;

let current: PixelProgram | undefined;

/**
 * The program with areas of so many bytes in its memory, and where they begin. What was in its memory before is lost, and so
 * are views of it.
 */
export function pixelProgram(sizes: readonly number[]): { program: PixelProgram; starts: readonly number[] } {
  let end = 0;
  const starts = sizes.map((size) => {
    const start = end;
    end += Math.ceil((size + SLACK) / 16) * 16;
    return start;
  });
  const found = (current ??= new Instance(new Module(Buffer.from(program, 'base64'))).exports);
  const missing = end - found.memory.buffer.byteLength;
  if (missing > 0) found.memory.grow(Math.ceil(missing / PAGE));
  if (found.memory.buffer.byteLength > LARGEST_KEPT) current = undefined;
  return { program: found, starts };
}
