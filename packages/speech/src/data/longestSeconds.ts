/** @file How long the longest recording is. */

import type { AudioReader } from '../audio/audio.ts';
import { statedSeconds } from './clipLengths.ts';
import type { SpeechRecord } from './speechRecord.ts';
import { measuredSeconds } from './withinSeconds.ts';

/**
 * Seconds of the longest recording, or some number above `most` where one is longer than that. Recordings whose length the
 * data does not say are decoded to measure it, until one is longer.
 *
 * @throws OnnxLoraError as the reader
 */
export async function longestSeconds(
  records: readonly SpeechRecord[],
  reader: AudioReader,
  most: number = Infinity,
): Promise<number> {
  let longest = records.reduce((seconds, record) => Math.max(seconds, statedSeconds(record) ?? 0), 0);
  for (const record of records) {
    if (longest > most) return longest;
    if (statedSeconds(record) === undefined) longest = Math.max(longest, await measuredSeconds(record, reader, most));
  }
  return longest;
}
