/** @file Finds labelled images in folders: a folder per class, or such folders under train, validation, val or test. */

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { imageEndings } from '../image/imageFormat.ts';

/** One image and the name of the folder it lies in. */
export interface LabelledFile {
  readonly file: string;
  readonly className: string;
}

/** The images of one split, and the classes' names in the order of their code units. */
export interface ClassFolders {
  readonly root: string;
  readonly classes: readonly string[];
  readonly files: readonly LabelledFile[];
}

/** What a data folder holds. */
export interface ImageFolder {
  readonly train: ClassFolders;
  /** Present when the folder has a train folder, and one named validation, val or test beside it. */
  readonly validation?: ClassFolders;
}

const validationNames = ['validation', 'val', 'test'] as const;

/**
 * Reads `root/<class>/*.png`, or `root/train/<class>/*.png` with `root/validation` (else `val`, else `test`) beside
 * it. Hidden files and folders, files directly under the root and files of other endings are passed over. The order
 * depends on names only, so it is the same everywhere.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` when the folder does not exist, `DATA_INVALID` when it has no class folders,
 * a class without images, or fewer than two classes
 */
export async function readImageFolder(root: string): Promise<ImageFolder> {
  const { folders } = await readFolder(root);
  // A folder named train that holds images itself is a class like any other.
  const hasSplits = folders.includes('train') && (await readFolder(join(root, 'train'))).folders.length > 0;
  if (!hasSplits) {
    const splits: readonly string[] = ['train', ...validationNames];
    const onlySplits = folders.length > 0 && folders.every((name) => splits.includes(name));
    if (onlySplits && !(await Promise.all(folders.map((name) => holdsImages(join(root, name))))).includes(true)) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `"${root}" holds only ${list(folders)}, and no "train" with class folders. Add it, or give the path of a folder whose folders are the classes, such as "${join(root, folders[0]!)}".`,
      );
    }
    return { train: await readClassFolders(root) };
  }
  const train = await readClassFolders(join(root, 'train'));
  const validationName = validationNames.find((name) => folders.includes(name));
  if (validationName === undefined) return { train };
  return { train, validation: await readClassFolders(join(root, validationName), { fewestClasses: 1 }) };
}

/**
 * Reads `root/<class>/*.png`.
 *
 * @throws OnnxLoraError as {@link readImageFolder}; fewer classes than `fewestClasses` (2) are an error
 */
export async function readClassFolders(
  root: string,
  { fewestClasses = 2 }: { readonly fewestClasses?: number } = {},
): Promise<ClassFolders> {
  const { folders: classes } = await readFolder(root);
  if (classes.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has no class folders. Put the images of each class into a folder of its own: "${join(root, 'cat', '1.png')}", "${join(root, 'dog', '1.png')}".`,
    );
  }
  const files: LabelledFile[] = [];
  for (const className of classes) files.push(...(await readClass(join(root, className), className)));
  if (classes.length < fewestClasses) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has one class only, "${classes[0]}". A classifier needs at least two: add another class folder.`,
    );
  }
  return { root, classes, files };
}

async function readClass(folder: string, className: string): Promise<LabelledFile[]> {
  const { files, folders } = await readFolder(folder);
  const images = files.filter(isImage);
  if (images.length > 0) return images.map((name) => ({ file: join(folder, name), className }));
  const found =
    folders.length > 0
      ? `it holds the folders ${list(folders)}, and images must lie directly in their class's folder`
      : files.length > 0
        ? `it holds ${list(files)}, and known endings are ${imageEndings.join(', ')}`
        : 'it is empty';
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The class folder "${folder}" has no images: ${found}. Add images, or remove the folder.`,
  );
}

function isImage(name: string): boolean {
  return imageEndings.includes(extname(name).toLowerCase());
}

async function holdsImages(folder: string): Promise<boolean> {
  return (await readFolder(folder)).files.some(isImage);
}

interface FolderEntries {
  readonly files: readonly string[];
  readonly folders: readonly string[];
}

/** Names of what is visible in `folder`, links by what they lead to, sorted by code units. */
async function readFolder(folder: string): Promise<FolderEntries> {
  const files: string[] = [];
  const folders: string[] = [];
  for (const entry of await listFolder(folder)) {
    if (entry.name.startsWith('.')) continue;
    // A dangling link is kept as a file, so that decoding reports it by name.
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
    if (target?.isDirectory()) folders.push(entry.name);
    else files.push(entry.name);
  }
  // The default order compares code units; a locale's would differ from machine to machine.
  return { files: files.sort(), folders: folders.sort() };
}

async function listFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new OnnxLoraError('FILE_NOT_FOUND', `There is no folder "${folder}". Check the path of the data.`, {
        cause,
      });
    }
    const reason = code === 'ENOTDIR' ? 'it is a file' : cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the data folder "${folder}": ${reason}. Give a folder whose folders are the classes.`,
      { cause },
    );
  }
}

/** The first few names in quotes. */
function list(names: readonly string[]): string {
  const shown = names
    .slice(0, 5)
    .map((name) => `"${name}"`)
    .join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
