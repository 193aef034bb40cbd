/** @file Finds what is in more than one split, which makes a model look better than it is. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** How many files are asked for at a time. */
const AT_ONCE = 32;
/** Bytes up to which a file is read at once. */
const SMALL = 1 << 20;

/** Records that have something in common: those of each split in which it occurs, which are two splits at least. */
export type Shared<Item> = readonly [readonly Item[], readonly Item[], ...(readonly Item[])[]];

/** Records with the same key that are in two of the splits; those without a key have nothing in common. */
export function sharedBetweenSplits<Item>(
  splits: readonly (readonly Item[])[],
  keyOf: (record: Item) => string | number | undefined,
): Shared<Item>[] {
  if (splits.length < 2) return [];
  const byKey = new Map<string | number, Item[][]>();
  splits.forEach((records, split) => {
    for (const record of records) {
      const key = keyOf(record);
      if (key === undefined) continue;
      const lists = byKey.get(key) ?? [];
      byKey.set(key, lists);
      (lists[split] ??= []).push(record);
    }
  });
  const inTwo = (lists: readonly Item[][]): lists is [Item[], Item[]] => lists.length > 1;
  return [...byKey.values()].map((lists) => lists.filter((list) => list !== undefined)).filter(inTwo);
}

/**
 * Records whose files have the same bytes and that are in two of the splits. Only files of the same size are read; those that
 * cannot be read are passed over.
 *
 * @param partOf which part of its file a record is, where it is not all of it: other parts are not the same
 */
export async function filesInTwoSplits<Item>(
  splits: readonly (readonly Item[])[],
  fileOf: (record: Item) => string | undefined,
  partOf: (record: Item) => string = () => '',
): Promise<Shared<Item>[]> {
  if (splits.length < 2) return [];
  const sizes = await ofFiles(splits, fileOf, async (file) => (await stat(file)).size);
  const sizeOf = (record: Item): number | undefined => sizes.get(fileOf(record) ?? '');
  const candidates = new Set(sharedBetweenSplits(splits, sizeOf).flat(2));
  const some = splits.map((records) => records.filter((record) => candidates.has(record)));
  const digests = await ofFiles(some, fileOf, (file) => digestOf(file, sizes.get(file)!));
  return sharedBetweenSplits(some, (record) => {
    const digest = digests.get(fileOf(record) ?? '');
    return digest === undefined ? undefined : `${digest} ${partOf(record)}`;
  });
}

async function ofFiles<Item, Value>(
  splits: readonly (readonly Item[])[],
  fileOf: (record: Item) => string | undefined,
  find: (file: string) => Promise<Value>,
): Promise<Map<string, Value>> {
  const files = [...new Set(splits.flatMap((records) => records.map(fileOf)))].filter((file) => file !== undefined);
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

/** The warning about what is shared, with an example; none where nothing is. */
export function sharedWarning<Item>(
  found: readonly Shared<Item>[],
  what: string,
  example: (one: Shared<Item>) => string,
): string[] {
  if (found.length === 0) return [];
  const counted = found.length === 1 ? what.replace(/s are$/, ' is') : what;
  return [
    `${found.length} ${counted} in more than one split, such as ${example(found[0]!)}. What is trained on must not be measured with; keep each in one split.`,
  ];
}
