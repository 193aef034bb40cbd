/** @file Parser of mutation notations: `A123G`, `A1G:C2D`, `p.Ala123Gly`. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import type { Substitution } from './sequenceRecord.ts';

const WILD_TYPE = /^(?:wt|_wt|wild[-_ ]?type|wildtype|p\.=|=|none|-)?$/i;
const SEPARATORS = /[\s:,;+/|_]+/;
// Positions have at most nine digits.
const ONE = /^([A-Z])(-?\d{1,9})([A-Z=])$/i;
const THREE = /^([A-Z][a-z]{2})(-?\d{1,9})([A-Z][a-z]{2}|=)$/;

const letterOf: ReadonlyMap<string, string> = new Map(
  'AlaA ArgR AsnN AspD CysC GlnQ GluE GlyG HisH IleI LeuL LysK MetM PheF ProP SerS ThrT TrpW TyrY ValV SecU PylO'
    .split(' ')
    .map((code) => [code.slice(0, 3), code[3]!]),
);

/** True for text with at least one mutation, as {@link parseMutations} reads it. */
export function areMutations(text: string): boolean {
  const words = wordsOf(text);
  return words.length > 0 && words.every((word) => substitutionOf(word) !== undefined);
}

/** True for names of the wild type. */
export function isWildType(text: string): boolean {
  return WILD_TYPE.test(text.trim());
}

/**
 * Parses substitutions separated by `:`, `,`, `;`, `+`, `/` or blanks, in one-letter codes or HGVS notation
 * (`p.Ala123Gly`). Leaves out synonymous ones (`A123A`, `A123=`). `WT` and empty text are the wild type.
 * @param place the text's place, for messages
 * @throws OnnxLoraError `DATA_INVALID` for anything else, such as deletions, insertions and stops
 */
export function parseMutations(text: string, place = 'mutations'): Substitution[] {
  if (isWildType(text)) return [];
  const found = wordsOf(text).map((word) => substitutionOf(word) ?? word);
  const wrong = found.find((each) => typeof each === 'string');
  if (wrong !== undefined) throw notSubstitution(wrong, place);
  const substitutions = (found as Substitution[]).filter(({ from, to }) => from !== to);
  const seen = new Set<number>();
  const twice = substitutions.find(({ position }) => seen.size === seen.add(position).size);
  if (twice) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `${place}: position ${twice.position} is mutated twice in ${JSON.stringify(text.slice(0, 80))}. Keep one of the mutations.`,
    );
  }
  return substitutions;
}

/** Formats mutations as {@link parseMutations} reads them: `A1G:C2D`, or `WT` for none. */
export function nameOfMutations(substitutions: readonly Substitution[]): string {
  if (substitutions.length === 0) return 'WT';
  return substitutions.map(({ from, position, to }) => `${from}${position}${to}`).join(':');
}

/** Substitutions between a wild type and a sequence of the same length. */
export function mutationsBetween(wildType: string, sequence: string): Substitution[] {
  const found: Substitution[] = [];
  for (let i = 0; i < wildType.length; i++) {
    const [from, to] = [wildType[i]!, sequence[i]!];
    if (from !== to) found.push({ from, position: i + 1, to });
  }
  return found;
}

/**
 * Applies substitutions to a wild type.
 * @param place their place, for the message
 * @param firstPosition number of the wild type's first letter, for the message
 * @throws OnnxLoraError `DATA_INVALID` for a position outside the wild type, or with another letter there
 */
export function mutated(
  wildType: string,
  substitutions: readonly Substitution[],
  place = 'mutations',
  firstPosition = 1,
): string {
  const letters = [...wildType];
  for (const { from, position, to } of substitutions) {
    const found = letters[position - 1];
    if (found !== from) throw misplaced({ from, position, to }, found, wildType.length, place, firstPosition);
    letters[position - 1] = to;
  }
  return letters.join('');
}

/** Numbers of the first letter that fit all mutations, for a hint; stops after a few. */
export function possibleFirstPositions(
  wildType: string,
  mutations: readonly (readonly Substitution[])[],
  most = 2,
): number[] {
  const distinct = new Map(mutations.flat().map((each) => [`${each.from}${each.position}`, each]));
  const all = [...distinct.values()];
  const positions = all.map(({ position }) => position);
  if (all.length === 0) return [];
  const [least, last] = positions.reduce(
    ([a, b], each) => [Math.min(a, each), Math.max(b, each)],
    [Infinity, -Infinity],
  );
  const found: number[] = [];
  // First and last mutated position lie within the wild type.
  for (let start = last - wildType.length + 1; start <= least && found.length < most; start++) {
    if (all.every(({ from, position }) => wildType[position - start] === from)) found.push(start);
  }
  return found;
}

function wordsOf(text: string): string[] {
  const inner = text
    .trim()
    .replace(/^p\.\s*[[(]?/, '')
    .replace(/[\])]$/, '');
  return inner
    .split(SEPARATORS)
    .filter((word) => word !== '')
    .map((word) => word.replace(/^p\./, ''));
}

function substitutionOf(word: string): Substitution | undefined {
  const [, from, position, to] = THREE.exec(word) ?? ONE.exec(word) ?? [];
  if (from === undefined || position === undefined || to === undefined) return undefined;
  const letter = (code: string): string | undefined => (code.length === 3 ? letterOf.get(code) : code.toUpperCase());
  const [before, after] = [letter(from), to === '=' ? letter(from) : letter(to)];
  return before === undefined || after === undefined
    ? undefined
    : { from: before, position: Number(position), to: after };
}

function notSubstitution(word: string, place: string): OnnxLoraError {
  const isOther = /del|ins|dup|fs|ext|\*|ter$|-$/i.test(word);
  return new OnnxLoraError(
    'DATA_INVALID',
    isOther
      ? `${place}: ${JSON.stringify(word.slice(0, 40))} is no substitution. Only substitutions can be read from mutations; write the whole sequence of such variants in a column "sequence".`
      : `${place}: ${JSON.stringify(word.slice(0, 40))} is no mutation. Write mutations as A123G (from, position, to), several as A123G:C200D, and the wild type as WT.`,
  );
}

function misplaced(
  { from, position, to }: Substitution,
  found: string | undefined,
  length: number,
  place: string,
  firstPosition: number,
): OnnxLoraError {
  const number = position + firstPosition - 1;
  const name = `${from}${number}${to}`;
  return new OnnxLoraError(
    'DATA_INVALID',
    found === undefined
      ? `${place}: ${name} is beyond the wild type, whose ${length} letters are numbers ${firstPosition} to ${length + firstPosition - 1}. Give the right wild type (wildType), or say which number its first letter has (firstPosition).`
      : `${place}: ${name} expects ${from} at position ${number}, but the wild type has ${found} there. Correct it, give the right wild type (wildType), or say which number its first letter has (firstPosition).`,
  );
}
