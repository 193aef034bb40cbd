/** @file Reads Stockholm alignments, as Pfam, Rfam and HMMER write them. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { textLines, type TextPieces } from '@onnx-lora/sdk/data';
import { badLine, MAX_SEQUENCE, tooLong } from './fasta.ts';

/** A sequence of an alignment. */
export interface StockholmRecord {
  /** The name in the alignment, such as `P12345/1-120`. */
  readonly id: string;
  /** In capitals, without gaps. */
  readonly sequence: string;
  /** The row of the alignment, with gaps. */
  readonly aligned: string;
  /** Secondary structure (`#=GR … SS`), a letter per residue. */
  readonly structure?: string;
  /** The alignment's name (`#=GF ID`), or its accession. */
  readonly family?: string;
  /** The number of its first line, from 1. */
  readonly line: number;
}

/** Upper bound on the characters of one alignment in memory. */
const MAX_LETTERS = 2 ** 29;
const BLANK = /\s/u;
const NOT_A_RESIDUE = /[^A-Za-z*.~_-]/u;

interface Alignment {
  readonly rows: Map<string, { text: string; readonly line: number }>;
  readonly structures: Map<string, string>;
  id?: string;
  accession?: string;
  letters: number;
}

/**
 * Streams the sequences of Stockholm 1.0 text, whose chunks may be cut anywhere; holds one alignment in memory.
 * @param name the file's path, for errors
 * @param illegal illegal residue characters: an error (the default), or kept
 * @throws OnnxLoraError `DATA_INVALID`, naming the line and the remedy
 */
export async function* parseStockholm(
  chunks: TextPieces,
  name: string,
  { illegal = 'error' }: { readonly illegal?: 'error' | 'keep' } = {},
): AsyncGenerator<StockholmRecord> {
  let alignment: Alignment | undefined;
  let number = 0;
  let count = 0;
  for await (const line of textLines(`"${name}"`, chunks)) {
    number++;
    const text = line.trim();
    if (text === '') continue;
    if (/^#\s*STOCKHOLM\b/.test(text)) {
      if (alignment) throw unended(name, number);
      alignment = { rows: new Map(), structures: new Map(), letters: 0 };
      continue;
    }
    if (!alignment) {
      throw badLine(
        name,
        number,
        `an alignment must begin with "# STOCKHOLM 1.0", but this line begins with ${JSON.stringify(text.slice(0, 20))}. Check that it is a Stockholm file.`,
      );
    }
    if (text === '//') {
      for (const record of recordsOf(alignment, name)) {
        count++;
        yield record;
      }
      alignment = undefined;
    } else readLine(alignment, text, number, name, illegal);
  }
  if (alignment) throw unended(name, number);
  if (count === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The Stockholm file "${name}" holds no sequence. Check that it is the right file.`,
    );
  }
}

function readLine(alignment: Alignment, text: string, number: number, name: string, illegal: 'error' | 'keep'): void {
  const [first, rest] = firstWord(text);
  if (text.startsWith('#')) {
    const [kind, value] = firstWord(rest);
    if (first === '#=GF' && value !== '') {
      if (kind === 'ID') alignment.id ??= value;
      if (kind === 'AC') alignment.accession ??= value;
    }
    const [feature, letters] = firstWord(value);
    if (first !== '#=GR' || feature !== 'SS' || letters === '' || BLANK.test(letters)) return;
    const structure = (alignment.structures.get(kind) ?? '') + letters;
    if (structure.length > MAX_SEQUENCE) throw tooLong(name, number);
    alignment.structures.set(kind, structure);
    count(alignment, text, number, name);
    return;
  }
  if (rest === '' || BLANK.test(rest))
    throw badLine(name, number, 'a name and its aligned letters are expected, separated by blanks. Correct the line.');
  const bad = illegal === 'error' ? NOT_A_RESIDUE.exec(rest)?.[0] : undefined;
  if (bad !== undefined)
    throw badLine(name, number, `${JSON.stringify(bad)} is no residue and no gap. Remove it, or correct the line.`);
  count(alignment, text, number, name);
  const row = alignment.rows.get(first);
  if (row) row.text += rest;
  else alignment.rows.set(first, { text: rest, line: number });
  if (row && row.text.length > MAX_SEQUENCE) throw tooLong(name, number);
}

/** Splits off the first word; a regex over the whole line would overflow the stack on millions of letters. */
function firstWord(text: string): [word: string, rest: string] {
  const at = text.search(BLANK);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at).trimStart()];
}

function count(alignment: Alignment, text: string, number: number, name: string): void {
  alignment.letters += text.length;
  if (alignment.letters <= MAX_LETTERS) return;
  throw badLine(
    name,
    number,
    `the alignment has more than ${MAX_LETTERS} letters, which is more than can be held. Write its sequences as FASTA.`,
  );
}

function* recordsOf({ rows, structures, id, accession }: Alignment, name: string): Generator<StockholmRecord> {
  const family = id ?? accession;
  for (const [row, { text: aligned, line }] of rows) {
    const structure = structures.get(row);
    if (structure !== undefined && structure.length !== aligned.length) {
      throw badLine(
        name,
        line,
        `"${row}" has ${aligned.length} columns, but its structure (#=GR … SS) has ${structure.length}. Correct the alignment.`,
      );
    }
    const kept = [...aligned].flatMap((letter, i) => (/[-.~_]/.test(letter) ? [] : [i]));
    const sequence = kept.map((i) => aligned[i]!.toUpperCase()).join('');
    if (sequence === '') throw badLine(name, line, `"${row}" has nothing but gaps. Remove it.`);
    yield {
      id: row,
      sequence,
      aligned,
      ...(structure === undefined ? {} : { structure: kept.map((i) => structure[i]!).join('') }),
      ...(family === undefined ? {} : { family }),
      line,
    };
  }
}

function unended(name: string, number: number): OnnxLoraError {
  return badLine(
    name,
    number,
    'the alignment before does not end with "//". The file may have been cut off; copy it again.',
  );
}
