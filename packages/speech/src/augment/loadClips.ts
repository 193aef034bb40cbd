/** @file Loads the recordings that augmentations mix in. */

import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { readFolder } from '@onnx-lora/sdk/data';
import type { AudioReader } from '../audio/audio.ts';
import { monoAt } from '../audio/mono.ts';

/**
 * The recordings in a folder and the folders below it, mono at `sampleRate`, in the order of their paths: noise for `background`,
 * impulse responses for `room`. All are held in memory.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` or `DATA_INVALID` when there is none, or one cannot be read
 */
export async function loadClips(reader: AudioReader, folder: string, sampleRate: number): Promise<Float32Array[]> {
  const clips = await clipsIn(reader, folder, sampleRate);
  if (clips.length > 0) return clips;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The folder "${folder}" holds no recordings. Put files of ${reader.fileEndings.join(', ')} there.`,
  );
}

async function clipsIn(reader: AudioReader, folder: string, sampleRate: number): Promise<Float32Array[]> {
  const { files, folders } = await readFolder(folder);
  const clips: Float32Array[] = [];
  for (const file of files.filter((name) => reader.fileEndings.includes(extname(name).toLowerCase()))) {
    clips.push(await monoAt(reader, join(folder, file), sampleRate));
  }
  for (const below of folders)
    for (const each of await clipsIn(reader, join(folder, below), sampleRate)) clips.push(each);
  return clips;
}
