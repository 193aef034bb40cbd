/** @file Weights that are computed for sessions: once, into a file that they map, instead of several times in memory. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { dropScratchFile, newScratchFile } from '../../files/scratchFile.ts';
import { byteLength, type ComputedBytes, type FileSlice, isInFile, readBytes } from '../bytes.ts';
import type { ModelProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { withTensors } from '../tensors.ts';

/** Bytes from which on a weight is worth its place in a file. */
const LARGE = 1 << 16;
/** Weights begin at multiples of it, as the pages that are mapped do. */
const PAGE = 4096;

const written = new WeakMap<ComputedBytes, FileSlice>();
/** Weights of a file that may be asked for again. */
const uses = new Map<string, number>();
const collected = new FinalizationRegistry<string>((file) => {
  const left = uses.get(file)! - 1;
  uses.set(file, left);
  if (left > 0) return;
  uses.delete(file);
  dropScratchFile(file);
});

/** Has a file go when none of these is referred to any more. */
function dropWith(file: string, bytes: readonly (FileSlice | ComputedBytes)[]): void {
  uses.set(file, bytes.length);
  for (const each of bytes) collected.register(each, file);
}

/**
 * The model with its large computed weights in a scratch file. Sessions of graphs that share weights share what was computed;
 * the file goes when no graph refers to them any more, and with the process at the latest.
 *
 * @throws NodeJS.ErrnoException where the folder cannot be written to, or is full
 */
export function scratchWeights(model: ModelProto): ModelProto {
  const added = new Map<ComputedBytes, FileSlice>();
  let file: string | undefined;
  let descriptor: number | undefined;
  let end = 0;
  try {
    const moved = withTensors(model, (tensor) => {
      const raw = rawBytes(tensor);
      if (!raw || raw instanceof Uint8Array || isInFile(raw) || byteLength(raw) < LARGE) return tensor;
      let slice = written.get(raw) ?? added.get(raw);
      if (!slice) {
        file ??= newScratchFile('onnx-lora-weights');
        descriptor ??= openSync(file, 'wx', 0o600);
        slice = { path: file, offset: end, length: byteLength(raw) };
        const bytes = readBytes(raw);
        for (let done = 0; done < bytes.length;)
          done += writeSync(descriptor, bytes, done, bytes.length - done, end + done);
        end = Math.ceil((end + bytes.length) / PAGE) * PAGE;
        added.set(raw, slice);
      }
      return { ...tensor, rawData: slice };
    });
    for (const [raw, slice] of added) written.set(raw, slice);
    if (file !== undefined) dropWith(file, [...added.keys()]);
    return moved;
  } catch (error) {
    if (file !== undefined) dropScratchFile(file);
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Bytes in a scratch file: what is computed once and read several times, and more than memory should hold. */
export class ScratchBytes {
  #file: string | undefined;
  #descriptor: number | undefined;
  #end = 0;
  readonly #kept: FileSlice[] = [];

  /**
   * Writes bytes to the file.
   *
   * @throws NodeJS.ErrnoException where the folder cannot be written to, or is full
   */
  keep(bytes: Uint8Array): FileSlice {
    this.#file ??= newScratchFile('onnx-lora-weights');
    this.#descriptor ??= openSync(this.#file, 'wx', 0o600);
    const slice: FileSlice = { path: this.#file, offset: this.#end, length: bytes.length };
    for (let done = 0; done < bytes.length;)
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, this.#end + done);
    this.#end = Math.ceil((this.#end + bytes.length) / PAGE) * PAGE;
    this.#kept.push(slice);
    return slice;
  }

  /** Deletes the file. */
  drop(): void {
    this.#close();
    if (this.#file !== undefined) dropScratchFile(this.#file);
  }

  /** Keeps no more, and deletes the file when nothing refers to what was kept. */
  leave(): void {
    this.#close();
    if (this.#file !== undefined) dropWith(this.#file, this.#kept.splice(0));
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
