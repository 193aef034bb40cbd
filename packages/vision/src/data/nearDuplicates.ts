/** @file Finds pictures that are nearly the same in two parts of the data, such as frames of one film or saved again. */

import { greyThumbnail } from '../image/codec.ts';
import type { ImageRecord } from './imageRecord.ts';

/** Most pictures of both parts that are compared, evenly spaced: each is decoded once more. */
const MOST_IMAGES = 4000;
/** Edge of the small grey pictures that are compared. */
const EDGE = 16;
/** Mean difference of two grey levels, 0 to 255, below which pictures are nearly the same. */
const SAME = 3;
const AT_ONCE = 8;

/** Warns of pictures that are nearly the same in training and validation; identical files are told elsewhere. */
export async function nearDuplicateWarnings(
  train: readonly ImageRecord[],
  validation: readonly ImageRecord[],
): Promise<readonly string[]> {
  const share = Math.min(1, MOST_IMAGES / (train.length + validation.length));
  const [own, other] = [await thumbnails(spaced(train, share)), await thumbnails(spaced(validation, share))];
  const pairs = other.flatMap((held) => {
    const same = own.find((each) => isNear(each.grey, held.grey));
    return same ? [[[same.file], [held.file]] as const] : [];
  });
  const [first] = pairs;
  if (!first) return [];
  const [[a], [b]] = first;
  const rest = pairs.length > 1 ? ` (and ${pairs.length - 1} more)` : '';
  return [
    `"${b}" of the held-out images is nearly the same picture as "${a}" of the training images${rest}, so that the metrics flatter the model. Put pictures of one scene into the same part.`,
  ];
}

/** About this share of the records, evenly spaced. */
function spaced(records: readonly ImageRecord[], share: number): readonly ImageRecord[] {
  const count = Math.ceil(records.length * share);
  return Array.from({ length: count }, (_, i) => records[Math.floor((i * records.length) / count)]!);
}

interface Thumbnail {
  readonly file: string;
  readonly grey: Uint8Array;
}

/** Small grey pictures; unreadable files are told when they are loaded. */
async function thumbnails(records: readonly ImageRecord[]): Promise<Thumbnail[]> {
  const found: Thumbnail[] = [];
  for (let from = 0; from < records.length; from += AT_ONCE) {
    const some = records.slice(from, from + AT_ONCE).map(async ({ file }): Promise<Thumbnail[]> => {
      const grey = await greyThumbnail(file, EDGE);
      return grey ? [{ file, grey }] : [];
    });
    found.push(...(await Promise.all(some)).flat());
  }
  return found;
}

function isNear(a: Uint8Array, b: Uint8Array): boolean {
  let [sum, most] = [0, SAME * a.length];
  for (let i = 0; i < a.length && sum <= most; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum <= most;
}
