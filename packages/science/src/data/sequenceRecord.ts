/** @file Types of sequence records and options of their reader. */

import type { DivideOptions } from '@onnx-lora/sdk/data';
import type { SequenceData as Divided, SequenceRecord as AnyRecord } from '@onnx-lora/sequences';

/** Kind of a sequence's letters. */
export type Alphabet = 'protein' | 'dna' | 'rna' | 'smiles';

/** A substitution: `A123G` is `{ from: 'A', position: 123, to: 'G' }`. */
export interface Substitution {
  /** The wild type's letter. */
  readonly from: string;
  /** Position in the wild type, from 1. */
  readonly position: number;
  /** The letter that replaces it. */
  readonly to: string;
}

/** One protein, molecule or piece of DNA: `sequence` has residues, bases or SMILES, without gaps and line breaks. */
export interface SequenceRecord extends AnyRecord {
  /** A class or a number per letter, null where unknown. */
  readonly residues?: readonly (string | number | null)[];
  /** Differences from the wild type, if the data name mutations; empty for the wild type itself. */
  readonly substitutions?: readonly Substitution[];
}

/** The data of a task, in parts; `train` is empty for evaluation data. */
export interface SequenceData extends Divided<SequenceRecord> {
  /** The wild type that substitutions refer to. */
  readonly wildType?: string;
}

/** The records of one file. */
export interface SequencePart {
  /** Not yet normalised. */
  readonly records: readonly SequenceRecord[];
  readonly valueNames?: readonly string[] | undefined;
  readonly wildType?: string | undefined;
  /** Set where the file names it. */
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

/** A path, your own records, or data that were read before. */
export type SequenceSource =
  string | readonly GivenSequenceRecord[] | AsyncIterable<GivenSequenceRecord> | SequenceData;

/** Columns of a table by role; usual names are found automatically. */
export interface SequenceColumns {
  /** The sequence, or the SMILES of a molecule. */
  readonly sequence?: string | undefined;
  /** The other sequence of a pair. */
  readonly second?: string | undefined;
  /** The record's name. */
  readonly id?: string | undefined;
  /** One class per sequence. */
  readonly label?: string | undefined;
  /** Several labels per sequence: a column that lists them, or a column of 0 and 1 per label. */
  readonly labels?: string | readonly string[] | undefined;
  /** Numbers to predict. */
  readonly values?: string | readonly string[] | undefined;
  /** A letter, a word or a number for each residue. */
  readonly residues?: string | undefined;
  /** Mutations against the wild type, such as `A123G`, separated by `:`, `,`, `+` or blanks. */
  readonly mutations?: string | undefined;
  /** `train`, `validation` or `test`, or a fold number. */
  readonly split?: string | undefined;
  /** Group that splits never divide, such as a family or a scaffold. */
  readonly group?: string | undefined;
}

/** Field that a task requires. */
export type SequenceNeed = 'label' | 'labels' | 'values' | 'residues' | 'second' | 'substitutions';

/** Split strategy, by the units that stay whole. */
export type SequenceSplitBy = 'random' | 'group' | 'mutations' | 'cluster' | 'scaffold' | 'similarity';

/** Options for reading and splitting data. */
export interface SequenceDataOptions extends DivideOptions<SequenceRecord> {
  /** Columns with unusual names. */
  readonly columns?: SequenceColumns | undefined;
  /** By default `smiles` where a column is called so, else guessed from the letters. */
  readonly alphabet?: Alphabet | undefined;
  /** The wild type's sequence, or a FASTA file with it. */
  readonly wildType?: string | undefined;
  /** Number of the wild type's first letter in mutations; 1 by default. */
  readonly firstPosition?: number | undefined;
  /** Fields that every record must have; errors name the file, row, column and remedy. */
  readonly needs?: readonly SequenceNeed[] | undefined;
  /** Validation fold if the split column has numbers, as ProteinGym's `fold_random_5`; 0 by default. */
  readonly fold?: number | undefined;
  /** Split strategy; by default `group` if known, `scaffold` of molecules, `random` of one protein, else `cluster`. */
  readonly splitBy?: SequenceSplitBy | undefined;
  /** Threshold: identity of `cluster`, by default 0.3 for proteins; Tanimoto of `similarity`, by default 0.6. */
  readonly identity?: number | undefined;
  /** Records with illegal letters: an error (the default), or skipped with a warning. */
  readonly illegal?: 'error' | 'skip' | undefined;
}
