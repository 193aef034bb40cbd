/** @file Weights that are computed for one graph: in a file while a session maps it, instead of several times in memory. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { dropScratchFile, newScratchFile } from '../../files/scratchFile.ts';
import { byteLength, type FileSlice, isInFile, readBytes } from '../bytes.ts';
import type { ModelProto } from '../proto.ts';
import { rawBytes } from '../tensorData.ts';
import { withTensors } from '../tensors.ts';

/** Bytes from which on a weight is worth a file. */
const LARGE = 1 << 20;
/** Weights begin at multiples of it, as the pages that are mapped do. */
const PAGE = 4096;

/**
 * The model with its large computed weights in a scratch file, and that file; without one where there are none. To be dropped
 * when no session reads it any more.
 *
 * @throws NodeJS.ErrnoException where the folder cannot be written to, or is full
 */
export function scratchWeights(model: ModelProto): { readonly model: ModelProto; readonly file?: string } {
  let file: string | undefined;
  let descriptor: number | undefined;
  let end = 0;
  try {
    const moved = withTensors(model, (tensor) => {
      const raw = rawBytes(tensor);
      if (!raw || raw instanceof Uint8Array || isInFile(raw) || byteLength(raw) < LARGE) return tensor;
      file ??= newScratchFile('onnx-lora-weights');
      descriptor ??= openSync(file, 'wx', 0o600);
      const slice: FileSlice = { path: file, offset: end, length: byteLength(raw) };
      const bytes = readBytes(raw);
      for (let done = 0; done < bytes.length;)
        done += writeSync(descriptor, bytes, done, bytes.length - done, end + done);
      end = Math.ceil((end + bytes.length) / PAGE) * PAGE;
      return { ...tensor, rawData: slice };
    });
    return file === undefined ? { model } : { model: moved, file };
  } catch (error) {
    if (file !== undefined) dropScratchFile(file);
    throw error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
