/** @file The labels that a set of data has. */

import { OnnxLoraError } from '../../../errors.ts';

/** How the data is spoken of. */
export interface DataWords {
  /** What the data is called. */
  readonly root: string;
  /** What its examples are called, in the plural: `images`. */
  readonly noun: string;
}

/**
 * The different labels of all examples, in the order of their code units.
 *
 * @throws OnnxLoraError `DATA_INVALID` for fewer than two
 */
export function differentLabels(labels: Iterable<string>, { root, noun }: DataWords): readonly string[] {
  // The default order compares code units; a locale's would differ from machine to machine.
  const names = [...new Set(labels)].sort();
  if (names.length >= 2) return names;
  throw new OnnxLoraError(
    'DATA_INVALID',
    names.length === 0
      ? `The ${noun} of "${root}" have no labels. Put the ${noun} of each class into a folder of its own, or name their labels in a manifest.`
      : `"${root}" has one class only, "${names[0]}". A classifier needs at least two: add another class.`,
  );
}
