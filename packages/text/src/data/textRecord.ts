/** @file A text in the data, what is known of it, and what a user may say of how texts are read. */

import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceData, SequenceRecord } from '@onnx-lora/sequences';

/** A text as a user writes it. */
export interface GivenText extends Omit<SequenceRecord, 'id' | 'where' | 'sequence' | 'labels'> {
  /** The text. */
  readonly text: string;
  /** Its class. */
  readonly label?: string;
  /** Several labels; none is an empty list. */
  readonly labels?: readonly string[];
  /** What it is called; its number by default. */
  readonly id?: string;
  /** Where it is, for messages. */
  readonly where?: string;
}

/** A path, texts of the user's own, or data that was read before. */
export type TextSource = string | readonly GivenText[] | AsyncIterable<GivenText> | SequenceData;

/** Which columns of a table hold what; usual names are found by themselves. */
export interface TextColumns {
  /** The text, or the first of a pair. */
  readonly text?: string | undefined;
  /** The other text of a pair. */
  readonly second?: string | undefined;
  /** Other texts that are like the second and wrong: one column or several, each with a text or a list of them. */
  readonly negatives?: string | readonly string[] | undefined;
  /** What the text is called. */
  readonly id?: string | undefined;
  /** One class per text. */
  readonly label?: string | undefined;
  /** Several labels per text: a column that lists them, or a column of 0 and 1 for each. */
  readonly labels?: string | readonly string[] | undefined;
  /** Numbers to predict. */
  readonly values?: string | readonly string[] | undefined;
  /** `train`, `validation` or `test`, or the number of a fold. */
  readonly split?: string | undefined;
  /** What is never divided between splits, such as an author or a conversation. */
  readonly group?: string | undefined;
}

/** How texts are read and divided. */
export interface TextDataOptions extends DivideOptions<SequenceRecord> {
  /** Columns of a table whose names do not say what they hold. */
  readonly columns?: TextColumns | undefined;
  /** Which fold is measured on, where the split column numbers folds; 0 by default. */
  readonly fold?: number | undefined;
}
