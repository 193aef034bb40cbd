/** @file Transcripts as a model is taught them: the tokens that it shall write. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SpeechRecord } from '../../data/speechRecord.ts';
import type { GenerationConfig } from '../../generation/generationConfig.ts';
import { promptOf } from '../../generation/prompt.ts';
import type { SpeechTokenizer } from '../../text/subwordTokenizer.ts';

/** What the transcripts are, where the data does not say it. */
export interface TranscriptOptions {
  /** What is spoken: `es`. The data's own column goes before it. Models of one language pass it over. */
  readonly language?: string | undefined;
  /** Whether transcripts are in the language that is spoken (`transcribe`, the default), or in English (`translate`). */
  readonly task?: 'transcribe' | 'translate' | undefined;
}

/** Makes labels. */
export interface TranscriptLabels {
  /** What the decoder is fed first. */
  readonly start: number;
  /** What shorter rows of a batch are filled up with. */
  readonly pad: number;
  /** How many labels the model has positions for. */
  readonly longest: number;
  /**
   * Labels of a record: what follows the start of the prompt, the text, the end.
   *
   * @throws OnnxLoraError `DATA_INVALID` for a record without transcript, or in a language that the model does not know
   */
  labelsOf(record: SpeechRecord): readonly number[];
}

/**
 * Labels as transformers' tokenizers make them for Whisper, without times: `<|es|><|transcribe|><|notimestamps|> texto<|endoftext|>`,
 * and for a model of one language `<|notimestamps|> text<|endoftext|>`. As in what Whisper was trained on, a space goes before
 * the text; not where it would be a token of its own, as before Chinese, since a model is kept from beginning with that.
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
      // A model of one language is taught another under the same tokens.
      ...(isMultilingual && language !== undefined ? { language } : {}),
      ...(task === undefined ? {} : { task }),
      timestamps: false,
    });
  } catch (cause) {
    if (!(cause instanceof OnnxLoraError)) throw cause;
    throw new OnnxLoraError('DATA_INVALID', `${where}: ${cause.message}`, { cause });
  }
}
