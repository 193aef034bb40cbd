/** @file Layouts of data folders: manifests, a folder or file per split, a folder per class, or plain files. */

import { type Dirent, lstatSync, readdir, stat } from '../platform/files.ts';
import { basename, extname, join } from '../platform/path.ts';
import { OnnxLoraError } from '../errors.ts';
import { notFound } from '../files/notFound.ts';
import { quotedNames } from './listed.ts';
import { type Split, splitNames } from './splits/splits.ts';
import { tableEndings } from './tables/table.ts';

/** Contents of a folder. */
export interface FolderEntries {
  /** Names of its files. */
  readonly files: readonly string[];
  /** Names of its folders. */
  readonly folders: readonly string[];
}

/**
 * Lists the visible entries of `folder`, sorted by code units. Links count as their targets.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID` for a folder that cannot be read, and for a name that is not
 *   UTF-8
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

/** In names of another encoding, Node replaces invalid bytes by U+FFFD, so that they cannot be opened. */
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

/** Endings of manifests: tables and JSON lists. */
export const manifestEndings: readonly string[] = [...tableEndings, '.json'];

const manifestNames = ['manifest', 'metadata', 'labels'] as const;

/** Words in file names that do not name a split. */
const emptyWords: readonly string[] = ['manifest', 'metadata', 'data', 'sequences', 'set', 'split'];

/** The example files of a domain. */
export interface ExampleFiles {
  /** Their noun in the plural: `images`. */
  readonly noun: string;
  /** Their endings, in lower case with the dot. */
  readonly endings: readonly string[];
}

/** Whether a file's ending is that of an example. */
export function isExample({ endings }: ExampleFiles, name: string): boolean {
  return endings.includes(extname(name).toLowerCase());
}

/** File name without its ending. */
export function stemOf(name: string): string {
  return basename(name, extname(name));
}

const shard = /-\d+-of-\d+$/;

/** The split in the name of a file or folder: `train.csv`, `test_sequences.fasta`, `manifest-dev.json`, `valid`. */
export function splitInName(name: string): Split | undefined {
  const words = stemOf(name.replace(/\.gz$/i, ''))
    .replace(shard, '')
    .toLowerCase()
    .split(/[-_.]/)
    .filter((word) => !emptyWords.includes(word));
  return words.length === 1 ? splitNames.get(words[0]!) : undefined;
}

/** How a domain reads folders. Each function returns the records of one folder. */
export interface FolderLayouts<Item> extends ExampleFiles {
  /** Reads a manifest, whatever its ending. */
  readonly manifest: (file: string) => Promise<readonly Item[]>;
  /** Further layouts of the domain, tried in order; undefined for a folder of another layout. */
  readonly own: readonly ((root: string, entries: FolderEntries) => Promise<readonly Item[] | undefined>)[];
  /** Reads a folder of examples without further structure. */
  readonly plain: (root: string, entries: FolderEntries) => Promise<readonly Item[]> | readonly Item[];
  /** Whether a folder holds only such examples. */
  readonly isPlain: (entries: FolderEntries) => boolean;
  /** Reads a folder per class. */
  readonly classes: (root: string, entries: FolderEntries) => Promise<readonly Item[]>;
}

/**
 * Reads a folder by the first layout that matches: a manifest, the domain's own layouts, folders of splits, plain
 * examples, a folder per class.
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the problem
 */
export async function readFolders<Item extends { readonly split?: Split }>(
  root: string,
  layouts: FolderLayouts<Item>,
): Promise<readonly Item[]> {
  const entries = await readFolder(root);
  const read = (await described(root, entries, layouts)) ?? (await splitFolders(root, entries, layouts));
  return read ?? (layouts.isPlain(entries) ? layouts.plain(root, entries) : layouts.classes(root, entries));
}

/** Reads a folder with a manifest or of the domain's own layouts; undefined for any other. */
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

/** The files whose names are splits: `train.tsv`, `dev_manifest.json`; by default those with a manifest's ending. */
export function splitManifests(
  { files }: FolderEntries,
  endings: readonly string[] = manifestEndings,
): readonly (readonly [name: string, split: Split])[] {
  return withSplit(
    files.filter((name) => endings.includes(extname(name).toLowerCase())),
    splitInName,
  );
}

function withSplit(
  names: readonly string[],
  splitOf: (name: string) => Split | undefined,
): (readonly [name: string, split: Split])[] {
  return names.map((name) => [name, splitOf(name)] as const).filter((found): found is [string, Split] => !!found[1]);
}

/** Concatenates the records that `read` returns for files or folders of splits, each marked with its split. */
export async function readSplits<Item extends { readonly split?: Split }>(
  parts: readonly (readonly [name: string, split: Split])[],
  read: (name: string) => Promise<readonly Item[]> | readonly Item[],
): Promise<readonly Item[] | undefined> {
  if (parts.length === 0) return undefined;
  const records: (readonly Item[])[] = [];
  for (const [name, split] of parts) records.push((await read(name)).map((record) => ({ ...record, split })));
  return records.flat();
}

/** Reads folders of splits, each of any layout; undefined where their names are ordinary classes. */
async function splitFolders<Item extends { readonly split?: Split }>(
  root: string,
  { folders }: FolderEntries,
  layouts: FolderLayouts<Item>,
): Promise<readonly Item[] | undefined> {
  const named = withSplit(folders, (name) => splitNames.get(name.toLowerCase()));
  const read = new Map<string, () => Promise<readonly Item[]> | readonly Item[]>();
  for (const [name] of named) {
    const folder = join(root, name);
    const entries = await readFolder(folder);
    const records = await described(folder, entries, layouts);
    const isPlain = !records && layouts.isPlain(entries);
    // A folder "train" of examples is an ordinary class, unless its neighbours are splits too.
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
  /** Its contents. */
  readonly entries: FolderEntries;
}

/**
 * Lists class folders, in an order that depends only on names. Hidden folders are skipped; examples must lie directly
 * in them.
 * @param advice the remedy where there are none
 * @throws OnnxLoraError `DATA_INVALID` if there are none, or one has no examples
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
      ? `it holds the folders ${quotedNames(folders)}, and ${noun} must lie directly in their class's folder`
      : files.length > 0
        ? `it holds ${quotedNames(files)}, and known endings are ${endings.join(', ')}`
        : 'it is empty';
  return new OnnxLoraError(
    'DATA_INVALID',
    `The class folder "${folder}" has no ${noun}: ${found}. Add ${noun}, or remove the folder.`,
  );
}
