/** @file How data lie in folders: manifests, parts for each split, a folder for each class, or examples beside each other. */

import { type Dirent, lstatSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { OnnxLoraError } from '../errors.ts';
import { notFound } from '../files/notFound.ts';
import { listed } from './listed.ts';
import { type Split, splitNames } from './splits/splits.ts';
import { tableEndings } from './tables/table.ts';

/** Names in a folder. */
export interface FolderEntries {
  /** Names of its files. */
  readonly files: readonly string[];
  /** Names of its folders. */
  readonly folders: readonly string[];
}

/**
 * Names of what is visible in `folder`, links by what they lead to, sorted by code units.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND` when there is no such folder, `DATA_INVALID` when it cannot be read, or has a name that is not UTF-8
 */
export async function readFolder(folder: string): Promise<FolderEntries> {
  const files: string[] = [];
  const folders: string[] = [];
  for (const entry of await listFolder(folder)) {
    if (entry.name.startsWith('.')) continue;
    requireName(folder, entry.name);
    // A dangling link is kept as a file, so that decoding reports it by name.
    const target = entry.isSymbolicLink() ? await stat(join(folder, entry.name)).catch(() => undefined) : entry;
    if (target?.isDirectory()) folders.push(entry.name);
    else files.push(entry.name);
  }
  // The default order compares code units; a locale's would differ from machine to machine.
  return { files: files.sort(), folders: folders.sort() };
}

/** Names in the encoding of another system come with U+FFFD for what is not UTF-8, and lead nowhere. */
function requireName(folder: string, name: string): void {
  if (!name.includes('\uFFFD') || lstatSync(join(folder, name), { throwIfNoEntry: false })) return;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The name "${name}" in "${folder}" is not UTF-8, so that it can be neither opened nor read as a label. Rename it (convmv -f windows-1252 -t utf-8 --notest -r "${folder}" renames all).`,
  );
}

async function listFolder(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw notFound('folder', folder, { remedy: 'Check the path of the data.', cause });
    }
    const reason = code === 'ENOTDIR' ? 'it is a file' : cause instanceof Error ? cause.message : String(cause);
    throw new OnnxLoraError(
      'DATA_INVALID',
      `Cannot read the data folder "${folder}": ${reason}. Give a folder of data, or a manifest.`,
      { cause },
    );
  }
}

/** Endings of manifests: tables, and lists in JSON. */
export const manifestEndings: readonly string[] = [...tableEndings, '.json'];

/** Names of manifests that are looked for in a folder; the first that is there wins. */
const manifestNames = ['manifest', 'metadata', 'labels'] as const;

/** Words in the names of files that say nothing of what is in them. */
const emptyWords: readonly string[] = ['manifest', 'metadata', 'data', 'sequences', 'set', 'split'];

/** Which files of folders are examples. */
export interface ExampleFiles {
  /** What they are, in the plural: `images`. */
  readonly noun: string;
  /** Their endings, in lower case with the dot. */
  readonly endings: readonly string[];
}

/** True for a file whose ending is that of an example. */
export function isExample({ endings }: ExampleFiles, name: string): boolean {
  return endings.includes(extname(name).toLowerCase());
}

/** A file's name without its ending. */
export function stemOf(name: string): string {
  return basename(name, extname(name));
}

/** What the names of files end in that have a part of a split each: `train-00000-of-00002.parquet`. */
const shard = /-\d+-of-\d+$/;

/** The split that the name of a file or folder names: `train.csv`, `test_sequences.fasta`, `manifest-dev.json`, `valid`. */
export function splitInName(name: string): Split | undefined {
  const words = stemOf(name.replace(/\.gz$/i, ''))
    .replace(shard, '')
    .toLowerCase()
    .split(/[-_.]/)
    .filter((word) => !emptyWords.includes(word));
  return words.length === 1 ? splitNames.get(words[0]!) : undefined;
}

/** How a domain reads folders. Each of its functions gives the records of one folder. */
export interface FolderLayouts<Item> extends ExampleFiles {
  /** Of a manifest, whatever its ending. */
  readonly manifest: (file: string) => Promise<readonly Item[]>;
  /** Layouts that are the domain's own, asked in turn; each gives undefined for a folder that is none of its kind. */
  readonly own: readonly ((root: string, entries: FolderEntries) => Promise<readonly Item[] | undefined>)[];
  /** Of examples beside each other that nothing says more about. */
  readonly plain: (root: string, entries: FolderEntries) => Promise<readonly Item[]> | readonly Item[];
  /** Whether a folder holds nothing but such. */
  readonly isPlain: (entries: FolderEntries) => boolean;
  /** Of a folder for each class. */
  readonly classes: (root: string, entries: FolderEntries) => Promise<readonly Item[]>;
}

/**
 * Records of a folder: of its manifest, of one for each split, of a layout of the domain's own, of `train` and other splits'
 * folders, of examples beside each other, or of a folder for each class.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming what is wrong
 */
export async function readFolders<Item extends { readonly split?: Split }>(
  root: string,
  layouts: FolderLayouts<Item>,
): Promise<readonly Item[]> {
  const entries = await readFolder(root);
  const read = (await described(root, entries, layouts)) ?? (await splitFolders(root, entries, layouts));
  return read ?? (layouts.isPlain(entries) ? layouts.plain(root, entries) : layouts.classes(root, entries));
}

/** Records of a folder that says itself what is in it; undefined for any other. */
async function described<Item extends { readonly split?: Split }>(
  root: string,
  entries: FolderEntries,
  { manifest, own }: FolderLayouts<Item>,
): Promise<readonly Item[] | undefined> {
  const { files, folders } = entries;
  const name = manifestNames
    .flatMap((each) => manifestEndings.map((ending) => each + ending))
    .find((each) => files.includes(each));
  if (name !== undefined) {
    return manifest(join(root, name)).catch((cause: unknown) => {
      if (!(cause instanceof OnnxLoraError) || folders.length === 0) throw cause;
      const hint = `If this file does not describe what is in "${root}", move it elsewhere, and the folders are read.`;
      throw new OnnxLoraError(cause.code, `${cause.message} ${hint}`, { cause });
    });
  }
  for (const read of own) {
    const records = await read(root, entries);
    if (records) return records;
  }
  return undefined;
}

/** The manifests of a folder, or files with other endings, whose names name a split: `train.tsv`, `dev_manifest.json`. */
export function splitManifests(
  { files }: FolderEntries,
  endings: readonly string[] = manifestEndings,
): readonly (readonly [name: string, split: Split])[] {
  return files
    .filter((name) => endings.includes(extname(name).toLowerCase()))
    .map((name) => [name, splitInName(name)] as const)
    .filter((found): found is [string, Split] => found[1] !== undefined);
}

/** The parts that `read` gives of files or folders for splits, in one list, each record in its split. */
export async function readSplits<Item extends { readonly split?: Split }>(
  parts: readonly (readonly [name: string, split: Split])[],
  read: (name: string) => Promise<readonly Item[]> | readonly Item[],
): Promise<readonly Item[] | undefined> {
  if (parts.length === 0) return undefined;
  const records: (readonly Item[])[] = [];
  for (const [name, split] of parts) records.push((await read(name)).map((record) => ({ ...record, split })));
  return records.flat();
}

/** Records of `train` and the other splits' folders, each of any layout; undefined where they are classes like any other. */
async function splitFolders<Item extends { readonly split?: Split }>(
  root: string,
  { folders }: FolderEntries,
  layouts: FolderLayouts<Item>,
): Promise<readonly Item[] | undefined> {
  const named = folders
    .map((name) => [name, splitNames.get(name.toLowerCase())] as const)
    .filter((found): found is [string, Split] => found[1] !== undefined);
  const read = new Map<string, () => Promise<readonly Item[]> | readonly Item[]>();
  for (const [name] of named) {
    const folder = join(root, name);
    const entries = await readFolder(folder);
    const records = await described(folder, entries, layouts);
    const isPlain = !records && layouts.isPlain(entries);
    // A folder named train that holds examples itself is a class like any other, unless its neighbours are splits too.
    if (isPlain && (named.length < folders.length || named.length === 1)) return undefined;
    read.set(name, () => records ?? (isPlain ? layouts.plain(folder, entries) : layouts.classes(folder, entries)));
  }
  return readSplits(named, (name) => read.get(name)!());
}

/** A folder of one class. */
export interface ClassFolder {
  /** The class. */
  readonly label: string;
  /** Its path. */
  readonly folder: string;
  /** What lies in it. */
  readonly entries: FolderEntries;
}

/**
 * The folders of classes, each with examples directly in it; hidden ones are passed over. The order depends on names only, so it
 * is the same everywhere.
 *
 * @param advice what to do where there are none
 * @throws OnnxLoraError `DATA_INVALID` when there are no folders, or one without examples
 */
export async function classFolders(
  root: string,
  { folders }: FolderEntries,
  files: ExampleFiles,
  advice: string,
): Promise<readonly ClassFolder[]> {
  const { noun, endings } = files;
  if (folders.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${root}" has no ${noun} (${endings.join(', ')}) and no class folders. ${advice}`,
    );
  }
  const found: ClassFolder[] = [];
  for (const label of folders) {
    const folder = join(root, label);
    const entries = await readFolder(folder);
    if (!entries.files.some((name) => isExample(files, name))) throw emptyClass(folder, entries, files);
    found.push({ label, folder, entries });
  }
  return found;
}

function emptyClass(folder: string, { files, folders }: FolderEntries, { noun, endings }: ExampleFiles): OnnxLoraError {
  const found =
    folders.length > 0
      ? `it holds the folders ${listed(folders)}, and ${noun} must lie directly in their class's folder`
      : files.length > 0
        ? `it holds ${listed(files)}, and known endings are ${endings.join(', ')}`
        : 'it is empty';
  return new OnnxLoraError(
    'DATA_INVALID',
    `The class folder "${folder}" has no ${noun}: ${found}. Add ${noun}, or remove the folder.`,
  );
}
