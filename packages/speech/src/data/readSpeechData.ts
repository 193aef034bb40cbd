/** @file Reads recordings with what is known of them, from any layout, and divides them into splits. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import {
  checkFraction,
  fairHoldOut,
  filesInTwoSplits,
  type FilesOfRecords,
  measuredOn,
  recordsBySplit,
  sharedBetweenSplits,
  sharedWarning,
  withoutMissing,
} from '@onnx-lora/sdk/data';
import { readLayout } from './readLayout.ts';
import type { SpeechData, SpeechRecord } from './speechRecord.ts';
import type { GivenSpeechRecord, SpeechDataOptions, SpeechSource } from './speechSource.ts';
import { sentenceKey, splitSpeech } from './splitSpeech.ts';
import { withinSeconds } from './withinSeconds.ts';

/**
 * Reads data. A path may be a manifest (CSV, TSV, JSON, JSONL) or a folder with one, or one for each split, as of Common Voice
 * and NeMo; LibriSpeech; a data folder of Kaldi; a folder of recordings, each with a `.txt` beside it; a folder of recordings
 * for each class; or `train`, `validation` and `test` folders of any of these. Records of the user's own and what this function
 * gave are taken as they are.
 *
 * @example
 * const data = await readSpeechData('recordings', { validation: 0.2 });
 * console.log(data.train.length, data.validation?.length);
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`; `DATA_INVALID`, naming the file, the line and the remedy
 */
export async function readSpeechData(source: SpeechSource, options: SpeechDataOptions = {}): Promise<SpeechData> {
  // 0 holds nothing out.
  if (options.validation !== 0) checkFraction(options.validation);
  const data = await divided(await readSource(source, options), options);
  const parts = [data.train, data.validation, data.test].filter((records) => records !== undefined);
  const warnings = [...data.warnings, ...(await sharedSpeech(parts, options.findDuplicates))];
  return { ...data, warnings: [...new Set(warnings)] };
}

async function divided(data: SpeechData, options: SpeechDataOptions): Promise<SpeechData> {
  const { validation, holdOut, evalSplit, seed = 0 } = options;
  if (typeof validation === 'string') {
    const { train, ...other } = measuredOn(await readSource(validation, options), evalSplit, 'recordings');
    return { ...data, validation: other.validation ?? train, warnings: [...data.warnings, ...other.warnings] };
  }
  const own = measuredOn(data, evalSplit, 'recordings');
  if (validation && evalSplit !== 'test') {
    const { kept, held } = splitSpeech(data.train, validation, seed, options.splitBy);
    if (held.length === 0) {
      throw new OnnxLoraError(
        'DATA_INVALID',
        `Nothing can be held out at a fraction of ${validation}: there are ${data.train.length} recordings to train on, and speakers and sentences are not divided. Add recordings, choose what is not divided (splitBy), or give other data for validation.`,
      );
    }
    return { ...data, train: kept, validation: held };
  }
  if (validation === 0 || holdOut === undefined || own.validation) return own;
  const fair = fairHoldOut(splitSpeech(own.train, holdOut, seed, options.splitBy), holdOut);
  return fair ? { ...own, train: fair.kept, validation: fair.held } : own;
}

async function readSource(source: SpeechSource, options: SpeechDataOptions): Promise<SpeechData> {
  if (typeof source === 'object' && 'train' in source) return source;
  const all = typeof source === 'string' ? await readLayout(source, options) : await given(source);
  if (all.length === 0) {
    const name = typeof source === 'string' ? `"${source}"` : 'The given data';
    throw new OnnxLoraError('DATA_INVALID', `${name} has no recordings. Check what the task was given.`);
  }
  const present = await withoutMissing(all, filesOfRecordings, options.missingAudio);
  const { records, warnings } = await withinSeconds(present.records, options);
  return { ...recordsBySplit(records), warnings: [...present.warnings, ...warnings] };
}

async function given(source: AsyncIterable<GivenSpeechRecord> | readonly GivenSpeechRecord[]): Promise<SpeechRecord[]> {
  const records: SpeechRecord[] = [];
  for await (const record of source) records.push(checkedRecord(record, records.length + 1));
  return records;
}

/** A record that may come from JavaScript. */
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

/** Warnings about recordings of the same bytes, sentences and speakers that are in two of the lists. */
async function sharedSpeech(splits: readonly (readonly SpeechRecord[])[], findDuplicates = true): Promise<string[]> {
  if (splits.length < 2) return [];
  const files = findDuplicates ? await filesInTwoSplits(splits, fileOf, ({ span }) => JSON.stringify(span) ?? '') : [];
  const sentences = sharedBetweenSplits(splits, ({ text }) => (text === undefined ? undefined : sentenceKey(text)));
  // One voice in all of the data is what the data is for.
  const speakers = new Set(splits.flatMap((records) => records.map(({ speaker }) => speaker)));
  const voices = speakers.size > 1 ? sharedBetweenSplits(splits, ({ speaker }) => speaker) : [];
  return [
    ...sharedWarning(files, 'recordings are', ([[first], [second]]) => `"${first!.where}" and "${second!.where}"`),
    ...sharedWarning(sentences, 'sentences are', ([[first]]) => `"${first!.text!.slice(0, 80)}"`),
    ...sharedWarning(voices, 'speakers are', ([[first]]) => `"${first!.speaker}"`),
  ];
}

function fileOf({ audio }: SpeechRecord): string | undefined {
  return typeof audio === 'string' ? audio : undefined;
}
