/** @file A graph as a file beside its weights: OpenVINO reads external data from below the file's folder alone. */

import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { SessionSource } from '@onnx-lora/sdk/plugin';

const NAME = 'onnx-lora-openvino-';
let count = 0;

/**
 * Calls `use` with a temporary file of the graph beside its external data. Links would do without a file there, but OpenVINO
 * follows none out of the folder, and a hard link changes the time by which the SDK sees that a file was replaced. Graph and
 * data are copied if nothing may be written there, or the data are links themselves.
 */
export async function withModelFile<T>(source: SessionSource, use: (file: string) => Promise<T>): Promise<T> {
  const { file, remove } = (await besideData(source)) ?? (await copied(source));
  try {
    return await use(file);
  } finally {
    await remove();
  }
}

interface Written {
  readonly file: string;
  readonly remove: () => Promise<void>;
}

async function besideData({ bytes, folder, files = [] }: SessionSource): Promise<Written | undefined> {
  if (folder === undefined) return undefined;
  const root = await realpath(folder);
  const real = await Promise.all(files.map((name) => realpath(path.join(folder, name))));
  if (real.some((each) => path.relative(root, each).startsWith('..'))) return undefined;
  const file = path.join(folder, `.${NAME}${process.pid}-${count++}.onnx`);
  try {
    await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
    return { file, remove: () => rm(file, { force: true }) };
  } catch {
    return undefined;
  }
}

async function copied({ bytes, folder = '', files = [] }: SessionSource): Promise<Written> {
  const place = await mkdtemp(path.join(tmpdir(), NAME));
  const remove = (): Promise<void> => rm(place, { recursive: true, force: true });
  try {
    for (const name of files) {
      const to = path.join(place, name);
      await mkdir(path.dirname(to), { recursive: true });
      await copyFile(path.join(folder, name), to, constants.COPYFILE_FICLONE);
    }
    const file = path.join(place, '.graph.onnx');
    await writeFile(file, bytes, { mode: 0o600 });
    return { file, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
