/** @file Leaves recordings out that are too short or too long. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { AudioReader } from '../audio/audio.ts';
import { statedSeconds } from './clipLengths.ts';
import type { SpeechRecord } from './speechRecord.ts';
import type { SpeechDataOptions } from './speechSource.ts';

/**
 * The records of `minSeconds` to `maxSeconds`. Recordings whose length the data does not say are decoded to measure it, up to
 * `maxSeconds`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for limits that cannot be; `DATA_INVALID` when nothing is left, and as the reader
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
      `Of ${records.length} recordings ${counts}, so that none is left. Change minSeconds or maxSeconds.`,
    );
  }
  return { records: kept, warnings: [`Of ${records.length} recordings ${counts}; they are left out.`] };
}

function requireReader(reader: AudioReader | undefined): AudioReader {
  if (reader) return reader;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'The data does not say how long all recordings are, so that they must be read for minSeconds and maxSeconds. Give a reader: { reader: new AudioFileReader() }.',
  );
}

/** Seconds of a recording, or of the part of it that is meant; no more of it is decoded than tells whether it is too long. */
export async function measuredSeconds(
  { audio, span }: SpeechRecord,
  reader: AudioReader,
  most: number,
): Promise<number> {
  const start = span?.start ?? 0;
  const { sampleRate, pieces } = await reader.stream(audio);
  let frames = 0;
  for await (const [channel] of pieces) {
    frames += channel?.length ?? 0;
    if (frames / sampleRate - start > most) break;
  }
  return frames / sampleRate - start;
}
