/** @file In what a session of a model computes with these adapters, and what to say where they were trained in something else. */

import type { Adapter } from '../adapter/adapter.ts';
import type { BasePrecision } from '../ops/precision/precision.ts';

/** The model's precision, without the products that these adapters were trained without. */
export function servingPrecision(
  precision: BasePrecision | undefined,
  adapters: readonly Adapter[],
): BasePrecision | undefined {
  const exact = adapters.flatMap(({ notes }) => notes.precision?.inFloat32 ?? []);
  return precision && { ...precision, inFloat32: [...new Set([...(precision.inFloat32 ?? []), ...exact])] };
}

/** What is told of adapters that were trained on the same weights in another precision; undefined where there is nothing to tell. */
export function otherPrecision(
  precision: BasePrecision | undefined,
  adapters: Readonly<Record<string, Adapter>>,
): string | undefined {
  const own = answersIn(precision);
  const others = Object.entries(adapters).filter(([, { notes }]) => answersIn(notes.precision) !== own);
  if (others.length === 0) return undefined;
  const [[name, { notes }]] = others as [[string, Adapter]];
  const more = others.length > 1 ? ` and ${others.length - 1} more` : '';
  const theirs = answersIn(notes.precision);
  return `"${name}"${more} learned on a base in ${theirs}, and the model computes in ${own}: answers differ a little. Open the model with precision "${theirs}" to have them as they were measured.`;
}

/** Gradients in integers leave answers as they are. */
function answersIn(precision: BasePrecision | undefined): 'float32' | 'int8' {
  return precision?.name === 'int8' ? 'int8' : 'float32';
}
