/** @file The files of a page: put in by the program, read and written by the SDK. */

import { OnnxLoraError } from '../errors.ts';
import { volume } from './browser/files.ts';
import * as path from './browser/path.ts';
import { readInto, type VolumeFolder } from './browser/volume.ts';

/**
 * Puts a file into its place, making folders; replaces an earlier one. A blob, such as a file that the user picked, stays
 * with the browser: the SDK reads ranges of it, in a worker only.
 * @param where an absolute path, such as `/models/vit/onnx/model.onnx`
 * @throws OnnxLoraError `FILE_INVALID` for a place within a file, or where a folder is
 */
export function putFile(where: string, content: Uint8Array | ArrayBuffer | Blob | string): void {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  const kept = bytes instanceof Blob ? bytes : new Uint8Array(bytes as ArrayBuffer);
  try {
    volume.makeFolders(path.dirname(path.resolve(where)));
    if (volume.find(where)?.kind === 'file') volume.remove(where);
    volume.makeFile(where, kept);
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `"${where}" cannot be put there: ${(cause as Error).message}. Name another place.`, { cause }); // prettier-ignore
  }
}

/** The bytes of a file, to save or send. @throws OnnxLoraError `FILE_NOT_FOUND` */
export function fileBytes(where: string): Uint8Array<ArrayBuffer> {
  const file = volume.find(where);
  if (file?.kind !== 'file') throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${where}" on this page. Put it there with putFile.`); // prettier-ignore
  const bytes = new Uint8Array(file.size);
  readInto(bytes, file, 0);
  return bytes;
}

/** Paths of all files in a folder and in its folders, relative to it; none without the folder. */
export function fileNames(folder: string): string[] {
  const found = volume.find(folder);
  return found?.kind === 'folder' ? namesIn(found, '') : [];
}

function namesIn(folder: VolumeFolder, before: string): string[] {
  return [...folder.entries].flatMap(([name, entry]) => entry.kind === 'file' ? [`${before}${name}`] : namesIn(entry, `${before}${name}/`)); // prettier-ignore
}

/** Removes a file, or a folder with all that it holds; nothing if there is neither. */
export function removeFiles(where: string): void {
  if (volume.find(where)) volume.remove(where);
}

/**
 * Downloads files of a folder, such as those of a published model, to a folder of this page.
 * @param url of the folder
 * @param names paths within the folder: `config.json`, `onnx/model.onnx`
 * @param onProgress called with the bytes so far, and how many there are, where the server tells
 * @throws OnnxLoraError `FILE_NOT_FOUND` for a file that the server refuses
 */
export async function downloadFiles(
  url: string | URL,
  folder: string,
  names: readonly string[],
  onProgress?: (done: number, total: number | undefined) => void,
): Promise<void> {
  const base = new URL(
    `${String(url).replace(/[/]$/, '')}/`,
    (globalThis as { readonly location?: { readonly href: string } }).location?.href,
  );
  let done = 0;
  const files = await Promise.all(names.map(async (name) => ({ name, response: await answered(new URL(name, base)) })));
  const sizes = files.map(({ response }) => Number(response.headers.get('content-length') ?? NaN));
  const sum = sizes.reduce((a, b) => a + b, 0);
  for (const { name, response } of files) {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (const reader = response.body!.getReader(); ;) {
      const { value } = await reader.read();
      if (!value) break;
      pieces.push(value as Uint8Array<ArrayBuffer>);
      done += value.length;
      onProgress?.(done, Number.isNaN(sum) ? undefined : sum);
    }
    putFile(path.join(folder, name), new Blob(pieces));
  }
}

async function answered(url: URL): Promise<Response> {
  const response = await fetch(url);
  if (response.ok) return response;
  throw new OnnxLoraError('FILE_NOT_FOUND', `"${url.href}" cannot be downloaded: the server answers ${response.status} ${response.statusText}. Check the address.`); // prettier-ignore
}
