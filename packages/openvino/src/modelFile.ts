/** @file A graph as a file beside its weights: OpenVINO reads external data from below the file's folder alone. */

import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { encodeModel } from '@onnx-lora/sdk/core';
import type { ModelProto, SessionSource } from '@onnx-lora/sdk/plugin';

const NAME = 'onnx-lora-openvino-';
let count = 0;

/** Sizes of inputs, by name; -1 is one that changes between runs. */
export type InputShapes = ReadonlyMap<string, readonly number[]>;

/**
 * Calls `use` with a temporary file of the graph, for these sizes of its inputs, beside its external data. Links would do without a file there, but OpenVINO
 * follows none out of the folder, and a hard link changes the time by which the SDK sees that a file was replaced. Graph and
 * data are copied if nothing may be written there, or the data are links themselves.
 */
export async function withModelFile<T>(
  data: Pick<SessionSource, 'folder' | 'files'>,
  graph: ModelProto,
  shapes: InputShapes,
  use: (file: string) => Promise<T>,
): Promise<T> {
  const source = { ...data, bytes: encodedWith(graph, shapes) };
  const { file, remove } = (await besideData(source)) ?? (await copied(source));
  try {
    return await use(file);
  } finally {
    await remove();
  }
}

/** The graph with these sizes declared. OpenVINO's C API could set them after reading, but it makes a scalar a vector. */
function encodedWith(model: ModelProto, shapes: InputShapes): Uint8Array {
  const input = (model.graph?.input ?? []).map((info) => {
    const shape = shapes.get(info.name!);
    if (!shape) return info;
    const dim = shape.map((size) => (size === -1 ? {} : { dimValue: size }));
    return { ...info, type: { tensorType: { ...info.type?.tensorType, shape: { dim } } } };
  });
  return Buffer.concat(encodeModel({ ...model, graph: { ...model.graph, input } }) as Uint8Array[]);
}

type Source = Omit<SessionSource, 'name'>;

interface Written {
  readonly file: string;
  readonly remove: () => Promise<void>;
}

async function besideData({ bytes, folder, files = [] }: Source): Promise<Written | undefined> {
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

async function copied({ bytes, folder = '', files = [] }: Source): Promise<Written> {
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
