/** @file What data may be, and how it is read. */

import type { EvalSplit } from '@onnx-lora/sdk/data';
import type { Alphabet, SequenceData, SequenceRecord } from './sequenceRecord.ts';

/** A record as a user writes it. */
export type GivenSequenceRecord = Omit<SequenceRecord, 'id' | 'where'> & Partial<Pick<SequenceRecord, 'id' | 'where'>>;

/** A path, records of the user's own, or data that was read before. */
export type SequenceSource =
  string | readonly GivenSequenceRecord[] | AsyncIterable<GivenSequenceRecord> | SequenceData;

/** Which columns of a table hold what; usual names are found by themselves. */
export interface SequenceColumns {
  /** The sequence, or the SMILES of a molecule. */
  readonly sequence?: string | undefined;
  /** The other sequence of a pair. */
  readonly second?: string | undefined;
  /** What the record is called. */
  readonly id?: string | undefined;
  /** One class per sequence. */
  readonly label?: string | undefined;
  /** Several labels per sequence: a column that lists them, or a column of 0 and 1 for each. */
  readonly labels?: string | readonly string[] | undefined;
  /** Numbers to predict. */
  readonly values?: string | readonly string[] | undefined;
  /** A letter, a word or a number for each residue. */
  readonly residues?: string | undefined;
  /** Mutations against the wild type: `A123G`, several separated by `:`, `,`, `+` or blanks. */
  readonly mutations?: string | undefined;
  /** `train`, `validation` or `test`, or the number of a fold. */
  readonly split?: string | undefined;
  /** What is never divided between splits, such as a family or a scaffold. */
  readonly group?: string | undefined;
}

/** What a task cannot do without. */
export type SequenceNeed = 'label' | 'labels' | 'values' | 'residues' | 'second' | 'substitutions';

/** What is never divided between training and validation. */
export type SequenceSplitBy = 'random' | 'group' | 'mutations' | 'cluster' | 'scaffold' | 'similarity';

/** How data is read and divided. */
export interface SequenceDataOptions {
  /** Columns of a table whose names do not say what they hold. */
  readonly columns?: SequenceColumns | undefined;
  /** `smiles` where a column says so, else found out from the letters. */
  readonly alphabet?: Alphabet | undefined;
  /** The sequence that mutations are counted in, or a FASTA file with it. */
  readonly wildType?: string | undefined;
  /** The number that mutations give to the first letter of the wild type; 1 by default. */
  readonly firstPosition?: number | undefined;
  /**
   * What every record must have: where it is not there, the file, row, column and remedy are named. Records may lack everything
   * else.
   */
  readonly needs?: readonly SequenceNeed[] | undefined;
  /** Held-out data: a path, or a fraction of the data. 0 holds nothing out. */
  readonly validation?: string | number | undefined;
  /** A fraction to hold out where the data has no part for evaluation and `validation` says nothing. */
  readonly holdOut?: number | undefined;
  /** Which of the data's own parts is measured on; `validation` by default, or `test` where there is no such. */
  readonly evalSplit?: EvalSplit | undefined;
  /** Which fold is measured on, where the split column numbers folds, as ProteinGym's `fold_random_5` does; 0 by default. */
  readonly fold?: number | undefined;
  /**
   * What stays whole when a fraction is held out. By default groups where the data have some; scaffolds for molecules; variants
   * of one protein at random; else clusters of like sequences.
   */
  readonly splitBy?: SequenceSplitBy | undefined;
  /** Of clusters: the share of positions from which sequences belong together; 0.3 by default for proteins. Of `similarity`: the Tanimoto similarity; 0.6 by default. */
  readonly identity?: number | undefined;
  /** What becomes of letters that the alphabet does not have: an error (the default), or the record is left out with a warning. */
  readonly illegal?: 'error' | 'skip' | undefined;
  /** Seeds what is held out where a fraction is; 0 by default. */
  readonly seed?: number | undefined;
}
