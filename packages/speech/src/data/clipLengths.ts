/** @file Lengths of recordings: for length-sorted batches, and to filter by duration. */

import { stat } from 'node:fs/promises';
import type { SpeechDataOptions, SpeechRecord } from './speechRecord.ts';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { AudioReader } from '../audio/audio.ts';

const AT_ONCE = 32;

/**
 * Lengths in one unit: seconds if the data give them, else file sizes, which need no decoding; undefined without
 * either.
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

/** Duration from the data, or of samples in memory; undefined if the file would have to be read. */
export function statedSeconds({ audio, span, duration }: SpeechRecord): number | undefined {
  if (duration !== undefined) return duration;
  if (span?.end !== undefined) return span.end - (span.start ?? 0);
  if (typeof audio === 'string' || audio instanceof Uint8Array) return undefined;
  return (audio.channels[0]?.length ?? 0) / audio.sampleRate - (span?.start ?? 0);
}

async function bytesOf({ audio, span }: SpeechRecord): Promise<number | undefined> {
  if (span !== undefined) return undefined;
  if (audio instanceof Uint8Array) return audio.byteLength;
  if (typeof audio !== 'string') return undefined;
  const found = await stat(audio).catch(() => undefined);
  return found?.size;
}

/**
 * The records of `minSeconds` to `maxSeconds`. A recording of unknown duration is decoded, up to `maxSeconds`.
 * @throws OnnxLoraError `CONFIG_INVALID` for invalid limits; `DATA_INVALID` if nothing is left; as the reader
 */
export async function withinSeconds(
  records: readonly SpeechRecord[],
  { minSeconds = 0, maxSeconds = Infinity, reader }: SpeechDataOptions,
): Promise<{ readonly records: readonly SpeechRecord[]; readonly warnings: readonly string[] }> {
  if (!(minSeconds >= 0 && maxSeconds > minSeconds)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `minSeconds is ${minSeconds} and maxSeconds ${maxSeconds}, but the first must be at least 0 and less than the second.`,
    );
  }
  if (minSeconds === 0 && maxSeconds === Infinity) return { records, warnings: [] };
  const kept: SpeechRecord[] = [];
  let [short, long] = [0, 0];
  for (const record of records) {
    const seconds = statedSeconds(record) ?? (await measuredSeconds(record, requireReader(reader), maxSeconds));
    if (seconds < minSeconds) short++;
    else if (seconds > maxSeconds) long++;
    else kept.push(record);
  }
  if (kept.length === records.length) return { records, warnings: [] };
  const counts = [
    ...(short > 0 ? [`${short} are shorter than ${minSeconds} s`] : []),
    ...(long > 0 ? [`${long} are longer than ${maxSeconds} s`] : []),
  ].join(' and ');
  if (kept.length === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `No recording of ${records.length} is left: ${counts}. Change minSeconds or maxSeconds.`,
    );
  }
  return { records: kept, warnings: [`Some of ${records.length} recordings are left out: ${counts}.`] };
}

function requireReader(reader: AudioReader | undefined): AudioReader {
  if (reader) return reader;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'The data does not say how long all recordings are, so that they must be read for minSeconds and maxSeconds. Give a reader: { reader: new AudioFileReader() }.',
  );
}

/** Measures a recording or its span, and stops beyond `most`. */
async function measuredSeconds({ audio, span }: SpeechRecord, reader: AudioReader, most: number): Promise<number> {
  const start = span?.start ?? 0;
  const { sampleRate, pieces } = await reader.stream(audio);
  let frames = 0;
  for await (const [channel] of pieces) {
    frames += channel?.length ?? 0;
    if (frames / sampleRate - start > most) break;
  }
  return frames / sampleRate - start;
}

/**
 * Longest duration, or any above `most`; decodes recordings of unknown duration. @throws OnnxLoraError as the reader
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
