/** @file Finds the wild type of mutations. */

import { stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';
import { readFolder } from '@onnx-lora/sdk/data';
import { readFasta } from './sequenceFile.ts';
import { mutationsBetween } from './mutations.ts';
import type { SequenceRecord } from './sequenceRecord.ts';

export interface WildType {
  readonly sequence: string;
  /** Sites, from 1, that the file names; a table may have their residues. */
  readonly sites?: readonly number[];
}

const ENDING = /\.(?:fasta|fa|faa|fna|fas)(?:\.gz)?$/i;
const BESIDE = /^(?:wild[-_ ]?type|wt|reference)$/i;
const REFERENCE = /^reference\./i;
const LETTERS = /^[A-Za-z*]+$/;

/** Maximum share of changed positions in a variant. */
const VARIANT = 0.5;

/** Adds substitutions to a variant of the wild type of the same length. */
export function comparedWith(wildType: string | undefined, record: SequenceRecord): SequenceRecord {
  if (record.substitutions || wildType?.length !== record.sequence.length) return record;
  const substitutions = mutationsBetween(wildType, record.sequence);
  return substitutions.length > VARIANT * wildType.length ? record : { ...record, substitutions };
}

/** @throws OnnxLoraError `FILE_NOT_FOUND`, `DATA_INVALID` */
export async function givenWildType(given: string): Promise<WildType> {
  const text = given.trim();
  if (ENDING.test(text) || (await stat(text).catch(() => undefined))?.isFile()) return readWildType(text);
  if (LETTERS.test(text)) return { sequence: upper(text) };
  throw new OnnxLoraError(
    'DATA_INVALID',
    `The wild type ${JSON.stringify(text.slice(0, 60))} is neither a FASTA file nor a sequence of letters. Name a file, or write the sequence.`,
  );
}

/**
 * The wild type in a FASTA file beside `file`: `wild-type.fasta`, `wt.fasta`, or `gb1-wt.fasta` for `gb1.csv`. Ignores
 * a `reference.fasta` with several sequences, such as a genome.
 */
export async function wildTypeBeside(file: string): Promise<WildType | undefined> {
  const { files } = await readFolder(dirname(file));
  const stem = basename(file).replace(/\.gz$/i, '');
  const own = basename(stem, extname(stem)).toLowerCase();
  const candidates = files.filter((name) => ENDING.test(name) && name !== basename(file));
  const stemOf = (name: string): string =>
    name
      .replace(ENDING, '')
      .replace(/[-_.](?:wt|wild[-_]?type)$/i, '')
      .toLowerCase();
  const found =
    candidates.find((name) => BESIDE.test(name.replace(ENDING, ''))) ??
    candidates.find((name) => stemOf(name) === own && name.replace(ENDING, '').toLowerCase() !== own);
  if (found === undefined) return undefined;
  return readWildType(join(dirname(file), found), REFERENCE.test(found));
}

/** Sites in a header: `variant sites 39,40,41,54 (1-based)`. */
function sitesOf(description: string): readonly number[] | undefined {
  const [, list] = /\b(?:sites?|positions?)\b[:= ]*(\d+(?:\s*,\s*\d+)*)/i.exec(description) ?? [];
  if (list === undefined) return undefined;
  const isFromZero = /0-based/i.test(description);
  return list.split(',').map((number) => Number(number) + (isFromZero ? 1 : 0));
}

async function readWildType(file: string): Promise<WildType>;
async function readWildType(file: string, isOptional: boolean): Promise<WildType | undefined>;
async function readWildType(file: string, isOptional = false): Promise<WildType | undefined> {
  let first: WildType | undefined;
  let firstId: string | undefined;
  for await (const { id, description, sequence } of readFasta(file)) {
    if (first) {
      if (isOptional) return undefined;
      throw new OnnxLoraError(
        'DATA_INVALID',
        `"${file}" holds several sequences, "${firstId}" and "${id}" among them, but a wild type is one. Keep only that in the file.`,
      );
    }
    const sites = sitesOf(description);
    firstId = id;
    first = { sequence: upper(sequence), ...(sites ? { sites } : {}) };
  }
  const wrong = first!.sites?.find((site) => site < 1 || site > first!.sequence.length);
  if (wrong !== undefined) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${file}": the header names site ${wrong}, but the sequence has ${first!.sequence.length} letters. Correct the header.`,
    );
  }
  return first!;
}

function upper(text: string): string {
  return text.toUpperCase().replaceAll(/[-.\s]|\*$/g, '');
}
