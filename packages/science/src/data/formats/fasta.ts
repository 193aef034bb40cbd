/** @file Streaming parsers of FASTA and A3M alignments. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { textLines, type TextPieces } from '@onnx-lora/sdk/data';

/** Maximum characters of a sequence; the longest known protein has some 45,000 residues. */
export const MAX_SEQUENCE: number = 2 ** 24;

/** The error about a sequence above `MAX_SEQUENCE`. */
export function tooLong(name: string, line: number): OnnxLoraError {
  return badLine(name, line, `longer than ${MAX_SEQUENCE} characters. Check that it is a file of sequences.`);
}

/** An error about a line of a file. */
export function badLine(name: string, line: number, what: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `"${name}", line ${line}: ${what}`);
}

/** One sequence of a FASTA file. */
export interface FastaRecord {
  /** The header up to the first blank, without ">". */
  readonly id: string;
  /** The rest of the header; may be empty. */
  readonly description: string;
  /** The residues as in the file, without line breaks and blanks; case is kept. */
  readonly sequence: string;
  /** The line number of the header, from 1. */
  readonly line: number;
}

/** Options of the FASTA parser. */
export interface FastaOptions {
  /** Illegal residue characters: an error (the default), or kept. */
  readonly illegal?: 'error' | 'keep' | undefined;
  /** Skips records without checking them. */
  readonly isPassedOver?: ((record: Pick<FastaRecord, 'id' | 'description'>) => boolean) | undefined;
}

const NOT_A_RESIDUE = /[^A-Za-z*.-]/u;

/**
 * Streams the records of FASTA text, whose chunks may be cut anywhere. Lines end with LF, CR LF or CR. Skips empty
 * lines, lines that begin with ";", and "#" lines before the first record, as in ColabFold's alignments.
 * @param name the file's path, for errors
 * @throws OnnxLoraError `DATA_INVALID` for text before the first ">", a record without id or sequence, an illegal
 * character (residues are letters, "*", "-" and "."), a sequence above `MAX_SEQUENCE`, or no records
 */
export async function* parseFasta(
  chunks: TextPieces,
  name: string,
  { illegal = 'error', isPassedOver = () => false }: FastaOptions = {},
): AsyncGenerator<FastaRecord> {
  let header: { id: string; description: string; line: number } | undefined;
  let sequence = '';
  let number = 0;
  let isOut = false;
  for await (const line of textLines(`"${name}"`, chunks)) {
    number++;
    if (line.startsWith('>')) {
      if (header && !isOut) yield { ...header, sequence: complete(header, sequence, name) };
      header = parseHeader(line, number, name);
      isOut = isPassedOver(header);
      sequence = '';
      continue;
    }
    if (isOut) continue;
    const residues = line.replace(/\s+/g, '');
    if (residues === '' || line.startsWith(';') || (!header && line.startsWith('#'))) continue;
    if (!header) throw noHeader(residues, number, name);
    const bad = illegal === 'error' ? NOT_A_RESIDUE.exec(residues)?.[0] : undefined;
    if (bad !== undefined) {
      throw badLine(
        name,
        number,
        `${JSON.stringify(bad)} at column ${line.indexOf(bad) + 1} is no residue; letters, "*", "-" and "." are. Remove it, or have tasks leave such records out (illegal: 'skip', on the command line --set illegal=skip).`,
      );
    }
    sequence += residues;
    if (sequence.length > MAX_SEQUENCE) throw tooLong(name, number);
  }
  if (!header)
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The FASTA file "${name}" holds no record. Check that it is the right file.`,
    );
  if (!isOut) yield { ...header, sequence: complete(header, sequence, name) };
}

function parseHeader(line: string, number: number, name: string): { id: string; description: string; line: number } {
  const [, id, description] = /^>(\S*)\s*([^]*)$/.exec(line)!;
  if (!id) throw badLine(name, number, 'the header has no id directly after ">". Write one, such as ">protein1".');
  return { id, description: description!.trimEnd(), line: number };
}

function complete(header: { id: string; line: number }, sequence: string, name: string): string {
  if (sequence !== '') return sequence;
  throw badLine(name, header.line, `record "${header.id.slice(0, 60)}" has no sequence. Add it, or remove the header.`);
}

function noHeader(residues: string, number: number, name: string): OnnxLoraError {
  const start = JSON.stringify(residues.slice(0, 20));
  return badLine(
    name,
    number,
    `a record must begin with ">", but this line begins with ${start}. Check that it is a FASTA file.`,
  );
}

/** Options of the A3M parser. */
export interface A3mOptions extends FastaOptions {
  /** `ungapped` (default): insertions in capitals, no gaps; `aligned`: the first sequence's columns, with gaps. */
  readonly form?: 'ungapped' | 'aligned' | undefined;
}

const ANNOTATION = /^(?:ss_(?:pred|conf|dssp)|sa_(?:pred|dssp)|aa_(?:pred|conf))$/;

/**
 * Streams the sequences of A3M text, whose chunks may be cut anywhere. Skips rows of predicted structure.
 * @param name the file's path, for errors
 * @throws OnnxLoraError `DATA_INVALID`, as `parseFasta` does
 */
export async function* parseA3m(
  chunks: TextPieces,
  name: string,
  { form = 'ungapped', illegal }: A3mOptions = {},
): AsyncGenerator<FastaRecord> {
  // Checks letters here: skipped confidences are digits, which parseFasta would refuse.
  for await (const record of parseFasta(chunks, name, { illegal, isPassedOver: ({ id }) => ANNOTATION.test(id) })) {
    const { sequence } = record;
    const text =
      form === 'aligned' ? sequence.replaceAll(/[a-z.]/g, '') : sequence.replaceAll(/[-.]/g, '').toUpperCase();
    yield { ...record, sequence: text };
  }
}
