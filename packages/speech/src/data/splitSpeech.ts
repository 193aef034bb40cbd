/** @file Holds recordings out by a fraction. */

import { fairHoldOut, type RecordSplit, splitRecords } from '@onnx-lora/sdk/data';
import type { SpeechRecord } from './speechRecord.ts';
import type { SplitBy } from './speechSource.ts';

/**
 * Holds out about `fraction` of the records, of every class its share. Speakers stay whole where that is fair, that is, where
 * no more than twice the fraction has to go; or else sentences; or else recordings. The same seed gives the same split
 * whatever the order of the records; nothing is held out where that cannot be done.
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
  // Utterances of one recording may say the same as those of another; the recording matters more.
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

/** One class stratifies, several do as labels. */
function labelsOf({ labels }: SpeechRecord): { label?: string; labels?: readonly string[] } {
  const [first] = labels ?? [];
  return labels?.length === 1 && first !== undefined ? { label: first } : labels ? { labels } : {};
}

/** What records have in common that are never divided. */
function groupOf({ audio, speaker, text, where }: SpeechRecord, by: SplitBy): string {
  if (by === 'speaker' && speaker !== undefined) return `speaker ${speaker}`;
  if (by === 'text' && text !== undefined) return `text ${sentenceKey(text)}`;
  return typeof audio === 'string' ? `file ${audio}` : where;
}

/** What is the same for sentences that differ in case and punctuation alone. */
export function sentenceKey(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\p{P}\p{S}\s]+/gu, ' ')
    .trim();
}

/** What a record is sorted by. Nothing of where it stands in its manifest. */
function keyOf({ audio, span, text, where }: SpeechRecord): string {
  return JSON.stringify([typeof audio === 'string' ? audio : where, span, text]);
}
