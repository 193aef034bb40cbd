/** @file Streaming parsers of FASTA and of A3M alignments. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { textLines, type TextPieces } from '@onnx-lora/sdk/data';

/** Longest sequence that is read, in characters; the longest protein known has some 45,000 residues. */
export const MAX_SEQUENCE: number = 2 ** 24;

/** The error about a sequence without end. */
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
  /** The residues as the file has them, line breaks and blanks removed, case kept. */
  readonly sequence: string;
  /** The header's line, counted from 1. */
  readonly line: number;
}

/** How FASTA is read. */
export interface FastaOptions {
  /** What becomes of characters that are no residues: an error (the default), or they are kept. */
  readonly illegal?: 'error' | 'keep' | undefined;
  /** Records that are left out, whatever they hold. */
  readonly isPassedOver?: ((record: Pick<FastaRecord, 'id' | 'description'>) => boolean) | undefined;
}

const NOT_A_RESIDUE = /[^A-Za-z*.-]/u;

/**
 * The records of FASTA text that comes in pieces cut anywhere. Lines end with LF, CR LF or CR; empty lines and lines
 * that begin with ";" are skipped, and before the first record those that begin with "#", as ColabFold's alignments do.
 * @param chunks the text
 * @param name what the text is called in errors: the file's path
 * @throws OnnxLoraError `DATA_INVALID` for text before the first ">", a record without id or sequence, a character that
 * is no residue (only letters, "*", "-" and "." are), a record above `MAX_SEQUENCE`, or no record at all
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

/** How an alignment is read. */
export interface A3mOptions extends FastaOptions {
  /**
   * `ungapped` (the default) gives each sequence as it is in nature: insertions in capitals, gaps left out. `aligned` gives the
   * columns of the first sequence: insertions left out, gaps kept.
   */
  readonly form?: 'ungapped' | 'aligned' | undefined;
}

/** Annotation rows of HH-suite's files: structure and confidences. */
const ANNOTATION = /^(?:ss_(?:pred|conf|dssp)|sa_(?:pred|dssp)|aa_(?:pred|conf))$/;

/**
 * The sequences of A3M text that comes in pieces cut anywhere. Rows with predicted structure are left out.
 * @param name what the text is called in errors: the file's path
 * @throws OnnxLoraError `DATA_INVALID`, as `parseFasta` does
 */
export async function* parseA3m(
  chunks: TextPieces,
  name: string,
  { form = 'ungapped', illegal }: A3mOptions = {},
): AsyncGenerator<FastaRecord> {
  // Confidences are digits and skipped, so illegal letters are checked here.
  for await (const record of parseFasta(chunks, name, { illegal, isPassedOver: ({ id }) => ANNOTATION.test(id) })) {
    const { sequence } = record;
    const text =
      form === 'aligned' ? sequence.replaceAll(/[a-z.]/g, '') : sequence.replaceAll(/[-.]/g, '').toUpperCase();
    yield { ...record, sequence: text };
  }
}
