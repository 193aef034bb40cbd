/** @file Reads speech data in any layout and splits them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  type DataReader,
  fairHoldOut,
  filesInTwoSplits,
  type FilesOfRecords,
  givenRecords,
  readData,
  recordsBySplit,
  type RecordSplit,
  requireRecords,
  sharedBetweenSplits,
  sharedWarning,
  splitRecords,
  withoutMissing,
} from '@onnx-lora/sdk/data';
import { withinSeconds } from './clipLengths.ts';
import { readLayout } from './readLayout.ts';
import type {
  GivenSpeechRecord,
  SpeechData,
  SpeechDataOptions,
  SpeechRecord,
  SpeechSource,
  SplitBy,
} from './speechRecord.ts';

/**
 * Reads data. A path may be a manifest (CSV, TSV, JSON, JSONL), or a folder: with a manifest, with one per split as in
 * Common Voice and NeMo, LibriSpeech, Kaldi, recordings with `.txt` transcripts, a folder per class, or `train`,
 * `validation` and `test` folders of any of these. Given records, and the result of this function, are taken as they
 * are.
 * @example
 * const data = await readSpeechData('recordings', { validation: 0.2 });
 * console.log(data.train.length, data.validation?.length);
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export function readSpeechData(source: SpeechSource, options: SpeechDataOptions = {}): Promise<SpeechData> {
  return readData(recordings, source, options);
}

const recordings: DataReader<SpeechRecord, SpeechData, SpeechSource, SpeechDataOptions> = {
  noun: 'recordings',
  remedy: 'choose the groups to keep together (splitBy)',
  read: async (source, options) => {
    if (typeof source === 'object' && 'train' in source) return source;
    const all = await (typeof source === 'string' ? readLayout(source, options) : givenRecords(source, checkedRecord));
    requireRecords(all, source, 'recordings');
    const present = await withoutMissing(all, filesOfRecordings, options.missingAudio);
    const { records, warnings } = await withinSeconds(present.records, options);
    return { ...recordsBySplit(records), warnings: [...present.warnings, ...warnings] };
  },
  holdOut: ({ train }, fraction, { seed = 0, splitBy }) => ({
    ...splitSpeech(train, fraction, seed, splitBy),
    whole: 'speakers and sentences are not divided',
  }),
  shared: async (parts, _, { findDuplicates = true }) => {
    const files = findDuplicates ? await filesInTwoSplits(parts, fileOf, ({ span }) => JSON.stringify(span) ?? '') : [];
    const sentences = sharedBetweenSplits(parts, ({ text }) => (text === undefined ? undefined : sentenceKey(text)));
    // Data of a single speaker share it by design.
    const speakers = new Set(parts.flatMap((records) => records.map(({ speaker }) => speaker)));
    const voices = speakers.size > 1 ? sharedBetweenSplits(parts, ({ speaker }) => speaker) : [];
    return [
      ...sharedWarning(files, 'recordings are', ([[first], [second]]) => `"${first!.where}" and "${second!.where}"`),
      ...sharedWarning(sentences, 'sentences are', ([[first]]) => `"${first!.text!.slice(0, 80)}"`),
      ...sharedWarning(voices, 'speakers are', ([[first]]) => `"${first!.speaker}"`),
    ];
  },
};

function checkedRecord(record: Partial<GivenSpeechRecord>, number: number): SpeechRecord {
  const { audio } = record;
  const where = record.where ?? (typeof audio === 'string' ? audio : `record ${number}`);
  if (audio) return { ...record, audio, where };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${where}: it has no "audio". A record names a recording: { audio: 'clips/1.wav', text: 'Hello' }.`,
  );
}

const filesOfRecordings: FilesOfRecords<SpeechRecord> = {
  files: ({ audio }) => (typeof audio === 'string' ? [audio] : []),
  place: ({ where }) => where,
  what: 'recordings',
  remedy:
    "Correct the paths, say which folder they start from (audioFolder), or leave such recordings out (missingAudio: 'skip').",
};

function fileOf({ audio }: SpeechRecord): string | undefined {
  return typeof audio === 'string' ? audio : undefined;
}

/**
 * Holds out about `fraction` of the records, stratified by class. Speakers stay whole if that takes no more than twice
 * the fraction, else sentences, else recordings. The same seed gives the same split whatever the order of the records;
 * nothing is held out if that is impossible.
 */
export function splitSpeech(
  records: readonly SpeechRecord[],
  fraction: number,
  seed: number,
  by?: SplitBy,
): RecordSplit<SpeechRecord> {
  const split = (groups: SplitBy): RecordSplit<SpeechRecord> =>
    splitRecords(records, fraction, seed, (record) => ({
      key: keyOf(record),
      file: groupOf(record, groups),
      ...labelsOf(record),
    }));
  if (by !== undefined) return split(by);
  const hasSeveral = new Set(records.map(({ speaker }) => speaker)).size > 1;
  const isCut = records.some(({ span }) => span !== undefined);
  // Utterances of one recording may share sentences with another; the recording matters more.
  const choices: readonly SplitBy[] = [
    ...(hasSeveral ? (['speaker'] as const) : []),
    ...(isCut ? [] : (['text'] as const)),
  ];
  for (const each of choices) {
    const fair = fairHoldOut(split(each), fraction);
    if (fair) return fair;
  }
  return split('recording');
}

/** One class stratifies as a class, several as labels. */
function labelsOf({ labels }: SpeechRecord): { label?: string; labels?: readonly string[] } {
  const [first] = labels ?? [];
  return labels?.length === 1 && first !== undefined ? { label: first } : labels ? { labels } : {};
}

function groupOf({ audio, speaker, text, where }: SpeechRecord, by: SplitBy): string {
  if (by === 'speaker' && speaker !== undefined) return `speaker ${speaker}`;
  if (by === 'text' && text !== undefined) return `text ${sentenceKey(text)}`;
  return typeof audio === 'string' ? `file ${audio}` : where;
}

/** A sentence without case and punctuation. */
function sentenceKey(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\p{P}\p{S}\s]+/gu, ' ')
    .trim();
}

/** A record's sort key, independent of its place in the manifest. */
function keyOf({ audio, span, text, where }: SpeechRecord): string {
  return JSON.stringify([typeof audio === 'string' ? audio : where, span, text]);
}
