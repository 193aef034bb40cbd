/** @file Streaming parser of FASTQ; qualities are counted and dropped. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { textLines, type TextPieces } from '@onnx-lora/sdk/data';
import { badLine, type FastaRecord } from './fasta.ts';

/**
 * Streams the records of FASTQ text, whose chunks may be cut anywhere: four lines each, `@id description`, the
 * sequence, `+` with an optional id, and a quality per letter.
 * @param name the file's path, for errors
 * @throws OnnxLoraError `DATA_INVALID`, naming the line and the remedy
 * @see Cock et al., "The Sanger FASTQ file format" (2010), doi:10.1093/nar/gkp1137
 */
export async function* parseFastq(chunks: TextPieces, name: string): AsyncGenerator<FastaRecord> {
  let record: { id: string; description: string; line: number; sequence?: string; hasPlus?: boolean } | undefined;
  let number = 0;
  let count = 0;
  for await (const line of textLines(`"${name}"`, chunks)) {
    number++;
    if (record === undefined) {
      if (line.trim() !== '') record = header(line, number, name);
    } else if (record.sequence === undefined) {
      record.sequence = line.trim();
    } else if (!record.hasPlus) {
      if (!line.startsWith('+')) throw badPlus(line, number, name);
      record.hasPlus = true;
    } else {
      const { id, description, line: at, sequence } = record;
      const qualities = line.trimEnd().length;
      if (qualities !== sequence.length) throw badQualities(id, qualities, sequence.length, number, name);
      if (sequence === '')
        throw badLine(name, at, `record "${id.slice(0, 60)}" has no sequence. Add it, or remove the record.`);
      yield { id, description, sequence, line: at };
      count++;
      record = undefined;
    }
  }
  if (record) {
    throw badLine(
      name,
      record.line,
      `record "${record.id.slice(0, 60)}" ends early: FASTQ has four lines per record. The file may have been cut off; copy it again.`,
    );
  }
  if (count === 0) {
    throw new OnnxLoraError(
      'DATA_INVALID',
      `The FASTQ file "${name}" holds no record. Check that it is the right file.`,
    );
  }
}

function header(line: string, number: number, name: string): { id: string; description: string; line: number } {
  const [, id, description] = /^@(\S+)\s*([^]*)$/.exec(line) ?? [];
  if (id !== undefined) return { id, description: description!.trimEnd(), line: number };
  throw badLine(
    name,
    number,
    `a record must begin with "@" and an id, but this line begins with ${JSON.stringify(line.slice(0, 20))}. Check that it is a FASTQ file with four lines per record.`,
  );
}

function badPlus(line: string, number: number, name: string): OnnxLoraError {
  return badLine(
    name,
    number,
    `"+" is expected after the sequence, but this line begins with ${JSON.stringify(line.slice(0, 20))}. Write every sequence on one line; if the file was cut off, copy it again.`,
  );
}

function badQualities(id: string, qualities: number, letters: number, number: number, name: string): OnnxLoraError {
  return badLine(
    name,
    number,
    `record "${id.slice(0, 60)}" has ${qualities} qualities for ${letters} letters. The file may have been cut off; copy it again.`,
  );
}
