/** @file Finds what is in more than one split, which makes a model look better than it is: images, and groups. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { ImageRecord } from './imageRecord.ts';

/** How many files are asked for at a time. */
const AT_ONCE = 32;
/** Bytes up to which a file is read at once. */
const SMALL = 1 << 20;

/**
 * Warnings about files of the same bytes, and groups of the same name, that are in two of the lists. Files that cannot be read are
 * passed over.
 */
export async function sharedBetweenSplits(
  splits: readonly (readonly ImageRecord[])[],
  findDuplicates = true,
): Promise<string[]> {
  if (splits.length < 2) return [];
  const sameFiles = findDuplicates ? await sharedFiles(splits) : [];
  const sameGroups = shared(splits, ({ group }) => group);
  return [
    ...warning(sameFiles, 'images are', ([[first], [second]]) => `"${first!.file}" and "${second!.file}"`),
    ...warning(sameGroups, 'groups are', ([[first]]) => `"${first!.group}"`),
  ];
}

/** Records that have something in common: those of each list in which it occurs, which are two lists at least. */
type Shared = readonly [readonly ImageRecord[], readonly ImageRecord[], ...(readonly ImageRecord[])[]];

function shared(
  splits: readonly (readonly ImageRecord[])[],
  keyOf: (record: ImageRecord) => string | number | undefined,
): Shared[] {
  const byKey = new Map<string | number, ImageRecord[][]>();
  splits.forEach((records, split) => {
    for (const record of records) {
      const key = keyOf(record);
      if (key === undefined) continue;
      const lists = byKey.get(key) ?? [];
      byKey.set(key, lists);
      (lists[split] ??= []).push(record);
    }
  });
  const inTwo = (lists: readonly ImageRecord[][]): lists is [ImageRecord[], ImageRecord[]] => lists.length > 1;
  return [...byKey.values()].map((lists) => lists.filter((list) => list !== undefined)).filter(inTwo);
}

async function sharedFiles(splits: readonly (readonly ImageRecord[])[]): Promise<Shared[]> {
  // Files of different sizes differ, so that few have to be read.
  const sizes = await ofFiles(splits, async (file) => (await stat(file)).size);
  const candidates = new Set(shared(splits, ({ file }) => sizes.get(file)).flat(2));
  const some = splits.map((records) => records.filter((record) => candidates.has(record)));
  const digests = await ofFiles(some, (file) => digestOf(file, sizes.get(file)!));
  return shared(some, ({ file }) => digests.get(file));
}

async function ofFiles<Value>(
  splits: readonly (readonly ImageRecord[])[],
  find: (file: string) => Promise<Value>,
): Promise<Map<string, Value>> {
  const files = [...new Set(splits.flat().map(({ file }) => file))];
  const found = new Map<string, Value>();
  const work = async (): Promise<void> => {
    for (let file = files.pop(); file !== undefined; file = files.pop()) {
      const value = await find(file).catch(() => undefined);
      if (value !== undefined) found.set(file, value);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

async function digestOf(file: string, size: number): Promise<string> {
  const hash = createHash('sha256');
  // A stream costs several times what a small file does.
  if (size < SMALL) hash.update(await readFile(file));
  else await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

function warning(found: readonly Shared[], what: string, example: (one: Shared) => string): string[] {
  if (found.length === 0) return [];
  return [
    `${found.length} ${what} in more than one split, such as ${example(found[0]!)}. What is trained on must not be measured with; keep each in one split.`,
  ];
}
