/** @file The files of a page: put in by the program, read and written by the SDK. */

import { unzipSync, zipSync } from 'fflate';
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

/** A file of a folder that the user picked: the browser's `FileSystemFileHandle`. */
export interface PickedFile {
  readonly kind: 'file';
  /** Name of the file. */
  readonly name: string;
  /** The content, which the browser reads when it is needed. */
  getFile(): Promise<Blob>;
}

/** A folder that the user picked, by `showDirectoryPicker`: the browser's `FileSystemDirectoryHandle`. */
export interface PickedFolder {
  readonly kind: 'directory';
  /** Name of the folder. */
  readonly name: string;
  /** The folder's files and folders. */
  values(): AsyncIterable<PickedFile | PickedFolder>;
}

/**
 * Puts files that the user picked into a folder, as {@link putFile} does. A worker gets handles and files by `postMessage`.
 * @param folder an absolute path, such as `/photos`
 * @param picked a folder of `showDirectoryPicker`, or the files of an `<input type="file" webkitdirectory>`, whose places in
 * the picked folder are kept; other files lie side by side
 * @returns how many files there are
 * @throws OnnxLoraError as {@link putFile}
 */
export async function putFolder(
  folder: string,
  picked: PickedFolder | Iterable<Blob & { readonly name: string; readonly webkitRelativePath?: string }>,
): Promise<number> {
  if ('kind' in picked) return putHandles(folder, picked);
  let count = 0;
  for (const file of picked) {
    // The first part is the picked folder's own name.
    const inside = file.webkitRelativePath ? file.webkitRelativePath.replace(/^[^/]*[/]/, '') : file.name;
    putFile(path.join(folder, path.join('/', inside)), file);
    count++;
  }
  return count;
}

async function putHandles(folder: string, picked: PickedFolder): Promise<number> {
  let count = 0;
  for await (const each of picked.values()) {
    const where = path.join(folder, path.basename(each.name));
    if (each.kind === 'directory') count += await putHandles(where, each);
    else putFile(where, await each.getFile());
    if (each.kind === 'file') count++;
  }
  return count;
}

/** The bytes of a file, to save or send. @throws OnnxLoraError `FILE_NOT_FOUND` */
export function fileBytes(where: string): Uint8Array<ArrayBuffer> {
  const file = volume.find(where);
  if (file?.kind !== 'file') throw new OnnxLoraError('FILE_NOT_FOUND', `There is no file "${where}" on this page. Put it there with putFile.`); // prettier-ignore
  const bytes = new Uint8Array(file.size);
  readInto(bytes, file, 0);
  return bytes;
}

/** Most bytes that a zip file may hold, as it can claim any size. */
const MOST_ZIPPED = 2 ** 30;

/**
 * A zip file of a folder's files, such as an adapter to download: PEFT and Node read the folder in it. Nothing is
 * compressed, as weights hardly shrink.
 */
export function zipFolder(folder: string): Uint8Array<ArrayBuffer> {
  const files = fileNames(folder).map((name) => [name, fileBytes(path.join(folder, name))] as const);
  return zipSync(Object.fromEntries(files), { level: 0 });
}

/**
 * Puts the files of a zip file into a folder, such as an adapter that PEFT or {@link zipFolder} wrote.
 * @returns the files' paths in the folder
 * @throws OnnxLoraError `FILE_INVALID` for another or damaged file, and for more than 1 GiB
 */
export function putZip(folder: string, zip: Uint8Array): string[] {
  let size = 0;
  const isTaken = (each: { readonly name: string; readonly originalSize: number }): boolean => {
    size += each.originalSize;
    return size <= MOST_ZIPPED && !each.name.endsWith('/');
  };
  let files: Record<string, Uint8Array>;
  try {
    files = unzipSync(zip, { filter: isTaken });
  } catch (cause) {
    throw new OnnxLoraError('FILE_INVALID', `The zip file for "${folder}" is damaged, or another kind of file (${(cause as Error).message}). Choose another.`, { cause }); // prettier-ignore
  }
  if (size > MOST_ZIPPED) throw new OnnxLoraError('FILE_INVALID', `The zip file for "${folder}" holds more than 1 GiB. Put its files there one by one.`); // prettier-ignore
  // Names lead nowhere else.
  const entries = Object.entries(files).map(([name, bytes]) => [path.join('/', name), bytes] as const);
  for (const [name, bytes] of entries) putFile(path.join(folder, name), bytes);
  return entries.map(([name]) => name.slice(1));
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
