/** @file Reads the pieces of a spiece.model, SentencePiece's own file. */

import { readFile, stat } from 'node:fs/promises';
import { OnnxLoraError } from '@onnx-lora/sdk';

/** That of 250,000 pieces has 5 MB. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * The pieces in the order of their ids; undefined where there is no file.
 *
 * @see https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto: field 1 of a ModelProto is a piece,
 *   field 1 of which is its text
 * @throws OnnxLoraError `CONFIG_INVALID` for a file that is no such model
 */
export async function readSentencePieces(file: string): Promise<readonly string[] | undefined> {
  let bytes: Uint8Array;
  try {
    const { size } = await stat(file);
    if (size > MOST_BYTES) throw broken(file, `it has ${size} bytes`);
    bytes = await readFile(file);
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw broken(file, (cause as Error).message);
  }
  const pieces = fieldsOf(bytes, 1, file).map((piece) => fieldsOf(piece, 1, file)[0]);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  try {
    return pieces.map((piece) => decoder.decode(piece));
  } catch {
    throw broken(file, 'a piece is no text');
  }
}

/** Contents of the fields of one number whose values are bytes, in a message of protocol buffers. */
function fieldsOf(message: Uint8Array, wanted: number, file: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 64; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) throw broken(file, 'it ends too early');
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw broken(file, 'a number is too long');
  };
  while (at < message.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) {
      varint();
      continue;
    }
    const length = kind === 2 ? varint() : kind === 1 ? 8 : kind === 5 ? 4 : NaN;
    if (!(at + length <= message.length)) throw broken(file, 'it ends too early, or is of another kind');
    if (kind === 2 && Math.floor(key / 8) === wanted) found.push(message.subarray(at, at + length));
    at += length;
  }
  return found;
}

function broken(file: string, why: string): OnnxLoraError {
  return new OnnxLoraError(
    'CONFIG_INVALID',
    `"${file}" cannot be read as a SentencePiece model: ${why}. Copy it again from where the model was published.`,
  );
}
