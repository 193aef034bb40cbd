/** @file The columns of a table of sequences. */

/** Columns that a table has, by what they hold. */
export interface FoundColumns {
  readonly sequence?: string | undefined;
  readonly second?: string | undefined;
  readonly id?: string | undefined;
  /** One class. */
  readonly label?: string | undefined;
  /** One column that lists labels. */
  readonly labels?: string | undefined;
  /** Columns of 0 and 1, named after labels. */
  readonly oneHot?: readonly string[] | undefined;
  readonly values?: readonly string[] | undefined;
  readonly residues?: string | undefined;
  readonly mutations?: string | undefined;
  /** Residues at the sites that the wild type's file names. */
  readonly sites?: string | undefined;
  readonly split?: string | undefined;
  /** Other columns that divide the data in another way, where the user did not choose. */
  readonly otherSplits: readonly string[];
  /** FLIP's mark of what is for validation within what is for training. */
  readonly isValidation?: string | undefined;
  readonly group?: string | undefined;
}
