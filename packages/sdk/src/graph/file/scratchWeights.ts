/** @file Computed weights in a scratch file that all sessions map, instead of several copies in memory. */

import { closeSync, openSync, writeSync } from '../../platform/files.ts';
import { dropScratchFile, newScratchFile } from '../../files/scratchFile.ts';
import { byteLength, type ComputedBytes, type FileSlice, isInFile, readBytes } from '../bytes.ts';
import type { ModelProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { withTensors } from '../tensors.ts';

const LARGE = 1 << 16;
const PAGE = 4096;

const written = new WeakMap<ComputedBytes, FileSlice>();
/** Reference counts of scratch files. */
const uses = new Map<string, number>();
const collected = new FinalizationRegistry<string>((file) => {
  const left = uses.get(file)! - 1;
  uses.set(file, left);
  if (left > 0) return;
  uses.delete(file);
  dropScratchFile(file);
});

/** Deletes a file once none of these is referenced. */
function dropWith(file: string, bytes: readonly (FileSlice | ComputedBytes)[]): void {
  uses.set(file, bytes.length);
  for (const each of bytes) collected.register(each, file);
}

/**
 * Moves large computed weights to a scratch file, shared by sessions of graphs that share weights. The file is deleted
 * once no graph refers to it, at the latest with the process.
 * @throws NodeJS.ErrnoException if the folder is full or not writable
 */
export function scratchWeights(model: ModelProto): ModelProto {
  const added = new Map<ComputedBytes, FileSlice>();
  let file: string | undefined;
  let descriptor: number | undefined;
  let end = 0;
  try {
    const moved = withTensors(model, (tensor) => {
      const raw = rawBytes(tensor);
      if (!raw || raw instanceof Uint8Array || isInFile(raw)) return tensor;
      let slice = written.get(raw) ?? added.get(raw);
      if (!slice && byteLength(raw) < LARGE) return tensor;
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

/** Bytes that are computed already, in a file that stays. */
export interface Written {
  readonly bytes: ComputedBytes;
  readonly slice: FileSlice;
}

/** Makes {@link scratchWeights} take these ranges instead of computing bytes. */
export function takeWritten(all: Iterable<Written>): void {
  for (const { bytes, slice } of all) written.set(bytes, slice);
}

/** Reads the bytes where they are written, and computes them otherwise. */
export function writtenBytes(bytes: ComputedBytes): Uint8Array {
  return readBytes(written.get(bytes) ?? bytes);
}

/** A scratch file for bytes that are computed once, read several times and too large for memory. */
export class ScratchBytes {
  #file: string | undefined;
  #descriptor: number | undefined;
  #end = 0;
  readonly #kept: FileSlice[] = [];

  /** Appends bytes. @throws NodeJS.ErrnoException if the folder is full or not writable */
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

  drop(): void {
    this.#close();
    if (this.#file !== undefined) dropScratchFile(this.#file);
  }

  /** Closes the file for writing, and deletes it once its ranges are unreferenced. */
  leave(): void {
    this.#close();
    if (this.#file !== undefined) dropWith(this.#file, this.#kept.splice(0));
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}
