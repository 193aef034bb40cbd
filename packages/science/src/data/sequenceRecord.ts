/** @file Types of sequence records and options of their reader. */

import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceData as Divided, SequenceRecord as AnyRecord } from '@onnx-lora/sequences';

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

/** One protein, molecule or piece of DNA: `sequence` has residues, bases or SMILES, without gaps and line breaks. */
export interface SequenceRecord extends AnyRecord {
  /** What is known of each letter: a class, a number, or null where nothing is. As long as the sequence. */
  readonly residues?: readonly (string | number | null)[];
  /** How it differs from the wild type, where it is written as its mutations; none for the wild type itself. */
  readonly substitutions?: readonly Substitution[];
}

/** The data of a task, in parts; `train` is empty where they are for evaluation alone. */
export interface SequenceData extends Divided<SequenceRecord> {
  /** The sequence that substitutions are counted in. */
  readonly wildType?: string;
}

/** The records of one file. */
export interface SequencePart {
  /** As the file spells them. */
  readonly records: readonly SequenceRecord[];
  readonly valueNames?: readonly string[] | undefined;
  readonly wildType?: string | undefined;
  /** Alphabet, where the file names it. */
  readonly alphabet?: Alphabet | undefined;
  /** How the records were split, in words: `the column "sampled"`. */
  readonly splitBy?: string | undefined;
  /** Columns of a table, for messages. */
  readonly columns?: {
    readonly sequence?: string | undefined;
    readonly second?: string | undefined;
    readonly residues?: string | undefined;
    readonly id?: string | undefined;
  };
  readonly warnings: readonly string[];
}

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
export interface SequenceDataOptions extends DivideOptions<SequenceRecord> {
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
}
