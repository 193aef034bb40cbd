/** @file The parts of a dataset. */

/** Which part of the data a record is in. */
export type Split = 'train' | 'validation' | 'test';

/** Splits by the names that people give them. */
export const splitNames: ReadonlyMap<string, Split> = new Map([
  ['train', 'train'],
  ['training', 'train'],
  ['validation', 'validation'],
  ['val', 'validation'],
  ['valid', 'validation'],
  ['dev', 'validation'],
  ['test', 'test'],
  ['testing', 'test'],
]);
