/** @file A question about a text in the data, its answers in that text, and what a user may say of how they are read. */

import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceData, SequenceRecord } from '@onnx-lora/sequences';

/** An answer that stands in a text. */
export interface TextAnswer {
  /** Its words. */
  readonly text: string;
  /** Where it begins in the text, counted as strings are indexed. */
  readonly start: number;
}

/** A question (`sequence`), and the text (`second`) that is asked. */
export interface QuestionRecord extends SequenceRecord {
  readonly second: string;
  /** What is right; an empty list where the text does not say; absent where it is not known. */
  readonly answers?: readonly TextAnswer[];
}

/** A question as a user writes it. */
export interface GivenQuestion extends Pick<SequenceRecord, 'group' | 'split'> {
  /** What is asked. */
  readonly question: string;
  /** The text that is asked. */
  readonly context: string;
  /** What is right, of which training takes the first; an empty list where the text does not say. */
  readonly answers?: readonly TextAnswer[];
  /** What it is called; its number by default. */
  readonly id?: string;
  /** Where it is, for messages. */
  readonly where?: string;
}

/** A path, questions of the user's own, or data that was read before. */
export type QuestionSource =
  string | readonly GivenQuestion[] | AsyncIterable<GivenQuestion> | SequenceData<QuestionRecord>;

/** Which columns of a table hold what; usual names are found by themselves. */
export interface QuestionColumns {
  /** What is asked. */
  readonly question?: string | undefined;
  /** The text that is asked. */
  readonly context?: string | undefined;
  /** The words of the answer; empty where the text does not say. */
  readonly answer?: string | undefined;
  /** Where the answer begins in the text, in letters from 0. Without it the answer's first place in the text is taken. */
  readonly start?: string | undefined;
  /** What the question is called. */
  readonly id?: string | undefined;
  /** `train`, `validation` or `test`. */
  readonly split?: string | undefined;
  /** What is never divided between splits; by default the text that is asked. */
  readonly group?: string | undefined;
}

/** How questions are read and divided. */
export interface QuestionDataOptions extends DivideOptions<QuestionRecord> {
  /** Columns of a table whose names do not say what they hold. */
  readonly columns?: QuestionColumns | undefined;
}
