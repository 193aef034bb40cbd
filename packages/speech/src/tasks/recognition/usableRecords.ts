/** @file Which recordings a model that writes can learn from: those with a transcript, neither of them too long. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { statedSeconds } from '../../data/clipLengths.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import type { TranscriptLabels } from './transcriptLabels.ts';

/** Recordings with their labels. */
export interface UsableRecords {
  readonly records: readonly SpeechRecord[];
  /** Ids of the transcripts, one list for each record. */
  readonly targets: readonly (readonly number[])[];
  /** What is left out, and why. */
  readonly warnings: readonly string[];
}

/**
 * Leaves out what has no transcript, what has a longer one than the model has positions for, and what lasts longer, as far as
 * the data says it, than the model hears at once: it would be taught words that it does not hear.
 *
 * @param seconds what the model hears at once
 * @throws OnnxLoraError `DATA_INVALID` when nothing is left; as `labelsOf`
 */
export function usableRecords(
  all: readonly SpeechRecord[],
  labels: TranscriptLabels,
  seconds: number = Infinity,
): UsableRecords {
  const records: SpeechRecord[] = [];
  const targets: (readonly number[])[] = [];
  const silent: SpeechRecord[] = [];
  const wordy: SpeechRecord[] = [];
  const long: SpeechRecord[] = [];
  for (const record of all) {
    if ((record.text ?? '').trim() === '') silent.push(record);
    else if ((statedSeconds(record) ?? 0) > seconds) long.push(record);
    else {
      const own = labels.labelsOf(record);
      if (own.length > labels.longest) wordy.push(record);
      else {
        records.push(record);
        targets.push(own);
      }
    }
  }
  const warning = (left: readonly SpeechRecord[], why: string): string[] =>
    left.length === 0 ? [] : [`${left.length} of ${all.length} recordings ${why}, such as ${left[0]!.where}`];
  const reasons = [
    ...warning(silent, 'have no transcript'),
    ...warning(wordy, `have a transcript of more than the ${labels.longest} tokens that the model can write`),
    ...warning(long, `last longer than the ${seconds} s that the model hears at once`),
  ];
  if (records.length === 0 && all.length > 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `There is nothing to learn from: ${reasons.join('; ')}. Name the column that holds the transcripts (columns: { text: … }; --set columns.text=…), and cut long recordings into utterances.`,
    );
  }
  return { records, targets, warnings: reasons.map((reason) => `${reason}: left out.`) };
}
