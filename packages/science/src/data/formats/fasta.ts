/** @file Reads FASTA record by record, however large the file is. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { openBytes, textOf } from '../openBytes.ts';
import { badLine, MAX_SEQUENCE, type TextPieces, textLines, tooLong } from './textLines.ts';

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
 * The records of a FASTA file in their order, which may be compressed by gzip. Only one record is held in memory at a time.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` naming the file, the line and the remedy
 */
export async function* readFasta(file: string): AsyncGenerator<FastaRecord> {
  const { bytes } = await openBytes(file);
  yield* parseFasta(textOf(bytes), file);
}

/**
 * The records of FASTA text that comes in pieces cut anywhere. Lines end with LF, CR LF or CR; empty lines and lines
 * that begin with ";" are skipped, and before the first record those that begin with "#", as ColabFold's alignments do.
 *
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
  for await (const line of textLines(chunks, name)) {
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
