/** @file Reads FASTA record by record, however large the file is. */

import { createReadStream } from 'node:fs';
import { OnnxLoraError } from '@onnx-lora/sdk';

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

/** Longest header or sequence that is read, in characters; the longest protein known has some 45,000 residues. */
export const MAX_SEQUENCE: number = 2 ** 24;

const NOT_A_RESIDUE = /[^A-Za-z*.-]/u;

/**
 * The records of a FASTA file in their order. Only one record is held in memory at a time.
 *
 * @throws OnnxLoraError `FILE_NOT_FOUND`, or `DATA_INVALID` naming the file, the line and the remedy
 */
export async function* readFasta(file: string): AsyncGenerator<FastaRecord> {
  try {
    yield* parseFasta(createReadStream(file, { encoding: 'utf8' }) as AsyncIterable<string>, file);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    // An error of the consumer's, thrown into the generator, is none of the file's.
    if (code === undefined) throw cause;
    throw code === 'ENOENT'
      ? new OnnxLoraError('FILE_NOT_FOUND', `There is no FASTA file "${file}". Check the path.`, { cause })
      : new OnnxLoraError(
          'DATA_INVALID',
          `The FASTA file "${file}" cannot be read: ${message}. Check that it is a file you may read.`,
          { cause },
        );
  }
}

/**
 * The records of FASTA text that comes in pieces cut anywhere. Lines end with LF, CR LF or CR; empty lines and lines
 * that begin with ";" are skipped.
 *
 * @param chunks the text
 * @param name what the text is called in errors: the file's path
 * @throws OnnxLoraError `DATA_INVALID` for text before the first ">", a record without id or sequence, a character that
 * is no residue (only letters, "*", "-" and "." are), a record above `MAX_SEQUENCE`, or no record at all
 */
export async function* parseFasta(
  chunks: AsyncIterable<string> | Iterable<string>,
  name: string,
): AsyncGenerator<FastaRecord> {
  let header: { id: string; description: string; line: number } | undefined;
  let sequence = '';
  let number = 0;
  for await (const line of lines(chunks, name)) {
    number++;
    if (line.startsWith('>')) {
      if (header) yield { ...header, sequence: complete(header, sequence, name) };
      header = parseHeader(line, number, name);
      sequence = '';
      continue;
    }
    const residues = line.replace(/\s+/g, '');
    if (residues === '' || line.startsWith(';')) continue;
    if (!header) throw noHeader(residues, number, name);
    const bad = NOT_A_RESIDUE.exec(residues)?.[0];
    if (bad !== undefined) {
      throw invalid(
        name,
        number,
        `${JSON.stringify(bad)} at column ${line.indexOf(bad) + 1} is no residue; letters, "*", "-" and "." are. Remove it.`,
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
  yield { ...header, sequence: complete(header, sequence, name) };
}

/** Lines without their ends. Concatenated pieces stay ropes, so a long line costs no more than its length. */
async function* lines(chunks: AsyncIterable<string> | Iterable<string>, name: string): AsyncGenerator<string> {
  let rest = '';
  let number = 1;
  let carry = '';
  let begun = false;
  for await (const chunk of chunks) {
    let text = carry + chunk;
    if (text === '') continue;
    if (!begun && text.startsWith('\uFEFF')) text = text.slice(1);
    begun = true;
    // The LF of a CR LF may open the next chunk.
    carry = text.endsWith('\r') ? '\r' : '';
    const pieces = (carry ? text.slice(0, -1) : text).split(/\r\n|\n|\r/);
    const last = pieces.pop()!;
    for (const piece of pieces) {
      yield rest + piece;
      rest = '';
      number++;
    }
    rest += last;
    if (rest.length > MAX_SEQUENCE) throw tooLong(name, number);
  }
  yield rest;
}

function parseHeader(line: string, number: number, name: string): { id: string; description: string; line: number } {
  const [, id, description] = /^>(\S*)\s*([^]*)$/.exec(line)!;
  if (!id) throw invalid(name, number, 'the header has no id directly after ">". Write one, such as ">protein1".');
  return { id, description: description!.trimEnd(), line: number };
}

function complete(header: { id: string; line: number }, sequence: string, name: string): string {
  if (sequence !== '') return sequence;
  throw invalid(name, header.line, `record "${header.id.slice(0, 60)}" has no sequence. Add it, or remove the header.`);
}

function noHeader(residues: string, number: number, name: string): OnnxLoraError {
  const compressed = residues.startsWith('\u001f');
  return invalid(
    name,
    number,
    compressed
      ? 'this looks like compressed data. Decompress it first, for example with gunzip.'
      : `a record must begin with ">", but this line begins with ${JSON.stringify(residues.slice(0, 20))}. Check that it is a FASTA file.`,
  );
}

function tooLong(name: string, number: number): OnnxLoraError {
  return invalid(name, number, `longer than ${MAX_SEQUENCE} characters. Check that it is a FASTA file of proteins.`);
}

function invalid(name: string, line: number, what: string): OnnxLoraError {
  return new OnnxLoraError('DATA_INVALID', `"${name}", line ${line}: ${what}`);
}
