/** @file Finds recordings, sentences and speakers that are in more than one split. */

import { filesInTwoSplits, sharedBetweenSplits, sharedWarning } from '@onnx-lora/sdk';
import { sentenceKey } from './splitSpeech.ts';
import type { SpeechRecord } from './speechRecord.ts';

/** Warnings about recordings of the same bytes, sentences and speakers that are in two of the lists. */
export async function sharedSpeech(
  splits: readonly (readonly SpeechRecord[])[],
  findDuplicates = true,
): Promise<string[]> {
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
