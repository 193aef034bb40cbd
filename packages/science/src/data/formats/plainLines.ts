/** @file Reads lists of sequences: one a line, with or without a name after it, as in `.smi` files. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { type TextPieces, textLines } from './textLines.ts';

/** A line of a list. */
export interface PlainRecord {
  readonly sequence: string;
  /** What follows the sequence after a blank. */
  readonly id?: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * The sequences of a list; empty lines and those that begin with `#` are passed over.
 *
 * @throws OnnxLoraError `DATA_INVALID` when there are none
 */
export async function* parsePlainLines(chunks: TextPieces, name: string): AsyncGenerator<PlainRecord> {
  let number = 0;
  let count = 0;
  for await (const line of textLines(chunks, name)) {
    number++;
    const [, sequence, id] = /^(\S+)\s*([^]*)$/.exec(line.trim()) ?? [];
    if (sequence === undefined || sequence.startsWith('#')) continue;
    count++;
    yield { sequence, ...(id ? { id } : {}), line: number };
  }
  if (count === 0)
    throw new OnnxLoraError('DATA_INVALID', `"${name}" holds no sequence. Check that it is the right file.`);
}
