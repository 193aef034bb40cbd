/** @file Token ids of transcripts, and the recordings that can be trained on. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { statedSeconds } from '../../data/clipLengths.ts';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import { type GenerationConfig, promptOf } from '../../generation/generationConfig.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';

/** Language and task of transcripts, if the data do not say. */
export interface TranscriptOptions {
  /** The language, `es`. The data's own column has precedence; ignored by models of one language. */
  readonly language?: string | undefined;
  /** Transcripts in the spoken language (`transcribe`, the default) or in English (`translate`). */
  readonly task?: 'transcribe' | 'translate' | undefined;
}

export interface TranscriptLabels {
  readonly start: number;
  readonly pad: number;
  readonly longest: number;
  /** The prompt after the start, the text, the end. @throws OnnxLoraError `DATA_INVALID` for its text or language */
  labelsOf(record: SpeechRecord): readonly number[];
}

/**
 * Labels as of transformers' Whisper tokenizers, without times: `<|es|><|transcribe|><|notimestamps|>
 * texto<|endoftext|>`, or `<|notimestamps|> text<|endoftext|>` for a model of one language. A space precedes the text,
 * as in Whisper's training data, unless it would be its own token, as in Chinese, which the model may not begin with.
 */
export function transcriptLabels(
  config: GenerationConfig,
  tokenizer: SpeechTokenizer,
  { language, task }: TranscriptOptions = {},
): TranscriptLabels {
  const end = config.ends[0]!;
  const isWhisper = tokenizer.idOf('<|startoftranscript|>') !== undefined;
  const encode = (said: string): readonly number[] => {
    const spaced = isWhisper ? tokenizer.encode(` ${said}`) : [];
    return spaced.length === 0 || config.beginSuppress.includes(spaced[0]!) ? tokenizer.encode(said) : spaced;
  };
  return {
    start: config.start,
    pad: end,
    longest: config.maxPositions,
    labelsOf: (record) => {
      const { text, where } = record;
      const said = text?.replaceAll(/\s+/g, ' ').trim() ?? '';
      if (said === '') {
        throw new OnnxLoraError(
          'DATA_INVALID',
          `${where} has no transcript. Say what is spoken in it (the column text), or leave it out.`,
        );
      }
      const prompt = promptFor(config, { language: record.language ?? language, task }, where);
      return [...prompt.slice(1), ...encode(said), end];
    },
  };
}

function promptFor(config: GenerationConfig, { language, task }: TranscriptOptions, where: string): readonly number[] {
  const isMultilingual = config.languages.size > 0;
  if (isMultilingual && language === undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${where}: the model knows ${config.languages.size} languages, and nothing says which of them is spoken. Name it (language: 'es', or --set language=es), or give the data a column "language".`,
    );
  }
  try {
    return promptOf(config, {
      // A model of one language learns another under the same tokens.
      ...(isMultilingual && language !== undefined ? { language } : {}),
      ...(task === undefined ? {} : { task }),
      timestamps: false,
    });
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError)) throw cause;
    throw new OnnxLoraError('DATA_INVALID', `${where}: ${cause.message}`, { cause });
  }
}

export interface UsableRecords {
  readonly records: readonly SpeechRecord[];
  readonly targets: readonly (readonly number[])[];
  readonly warnings: readonly string[];
}

/**
 * Drops records without a transcript, with too many tokens for the model's positions, or with a known duration beyond
 * the model's window, whose text exceeds the sound.
 * @param seconds the model's window
 * @throws OnnxLoraError `DATA_INVALID` if nothing is left; as `labelsOf`
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
