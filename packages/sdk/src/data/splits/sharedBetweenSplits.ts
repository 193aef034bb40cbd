/** @file Finds examples in more than one split, which inflate metrics. */

import { createReadStream, readFile, stat } from '../../platform/files.ts';
import { sha256 } from '../../platform/hash.ts';

const AT_ONCE = 32;
const SMALL = 1 << 20;

/** Records with something in common, by split, of at least two splits. */
export type Shared<Item> = readonly [readonly Item[], readonly Item[], ...(readonly Item[])[]];

/** Groups records with the same key in more than one split; records without a key have nothing in common. */
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

/** Groups identical files in several splits, skipping unreadable ones. `partOf` tells records of a file apart. */
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
  const hash = sha256();
  // For small files, a stream costs several times as much.
  if (size < SMALL) hash.update(await readFile(file));
  else for await (const block of createReadStream(file)) hash.update(block as Uint8Array);
  return hash.digest('hex');
}

/** A warning about overlap, with an example; none without overlap. */
export function sharedWarning<Item>(
  found: readonly Shared<Item>[],
  what: string,
  example: (one: Shared<Item>) => string,
): string[] {
  if (found.length === 0) return [];
  const counted = found.length === 1 ? what.replace(/s are$/, ' is') : what;
  return [
    `${found.length} ${counted} in more than one split, such as ${example(found[0]!)}. Evaluation needs examples that training has not seen: keep each in one split.`,
  ];
}
