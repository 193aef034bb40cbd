/** @file A sequence in the data, and what is known of it. */

import type { Split } from '@onnx-lora/sdk/data';

/** What letters stand for. */
export type Alphabet = 'protein' | 'dna' | 'rna' | 'smiles';

/** A substitution: `A123G` is `{ from: 'A', position: 123, to: 'G' }`. */
export interface Substitution {
  /** The wild type's letter. */
  readonly from: string;
  /** In the wild type, counted from 1. */
  readonly position: number;
  /** The letter that takes its place. */
  readonly to: string;
}

/** One sequence of the data. */
export interface SequenceRecord {
  /** What it is called; its number where the data has no names. */
  readonly id: string;
  /** Residues, bases or SMILES, without gaps and line breaks. */
  readonly sequence: string;
  /** The other of a pair, such as the protein that it may bind. */
  readonly second?: string;
  /** Its class, or several labels; none is an empty list where the data have labels. */
  readonly labels?: readonly string[];
  /** Numbers to predict, in the order of {@link SequenceData.valueNames}; NaN where one was not measured. */
  readonly values?: readonly number[];
  /** What is known of each letter: a class, a number, or null where nothing is. As long as the sequence. */
  readonly residues?: readonly (string | number | null)[];
  /** How it differs from the wild type, where it is written as its mutations; none for the wild type itself. */
  readonly substitutions?: readonly Substitution[];
  /** Records of one group are never divided. */
  readonly group?: string;
  /** The split it is meant for, where the data says so. */
  readonly split?: Split;
  /** Where it is, for messages: `gb1.csv, line 12`. */
  readonly where: string;
}

/** The data of a task, in parts. */
export interface SequenceData {
  /** Empty where the data are for evaluation alone. */
  readonly train: readonly SequenceRecord[];
  /** What is measured on. */
  readonly validation?: readonly SequenceRecord[];
  /** Kept out of both. */
  readonly test?: readonly SequenceRecord[];
  /** What the values are called. */
  readonly valueNames?: readonly string[];
  /** The sequence that substitutions are counted in. */
  readonly wildType?: string;
  /** How the held-out part was chosen, in words, for the report: `clusters of at least 30% identity stay whole`. */
  readonly splitBy?: string;
  /** What the user should know of the data. */
  readonly warnings: readonly string[];
}
