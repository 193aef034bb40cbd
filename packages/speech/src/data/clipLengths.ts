/** @file How long recordings are, for batches of about one length. */

import { stat } from 'node:fs/promises';
import type { SpeechRecord } from './speechRecord.ts';

/** How many files are asked for at a time. */
const AT_ONCE = 32;

/**
 * A length for each record, all in one unit: seconds where the data says them; or else, as nothing is decoded for it, bytes of
 * the files, which are as good where all files are of one kind. Undefined where neither is known of all.
 */
export async function clipLengths(records: readonly SpeechRecord[]): Promise<readonly number[] | undefined> {
  const seconds = records.map(statedSeconds);
  if (seconds.every((each) => each !== undefined)) return seconds;
  const bytes = new Array<number | undefined>(records.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < records.length; i = next++) bytes[i] = await bytesOf(records[i]!);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return bytes.every((each) => each !== undefined) ? bytes : undefined;
}

/** Seconds as the data says, or as samples in memory are many; undefined where the recording itself would have to be read. */
export function statedSeconds({ audio, span, duration }: SpeechRecord): number | undefined {
  if (duration !== undefined) return duration;
  if (span?.end !== undefined) return span.end - (span.start ?? 0);
  if (typeof audio === 'string' || audio instanceof Uint8Array) return undefined;
  return (audio.channels[0]?.length ?? 0) / audio.sampleRate - (span?.start ?? 0);
}

async function bytesOf({ audio, span }: SpeechRecord): Promise<number | undefined> {
  // A part of a file is not as long as the file.
  if (span !== undefined) return undefined;
  if (audio instanceof Uint8Array) return audio.byteLength;
  if (typeof audio !== 'string') return undefined;
  const found = await stat(audio).catch(() => undefined);
  return found?.size;
}
