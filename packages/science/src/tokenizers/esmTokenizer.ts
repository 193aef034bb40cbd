/** @file ESM's tokenizer: one token per residue. */

import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { OnnxLoraError } from '@onnx-lora/sdk';

const VOCABULARY = 'vocab.txt';
const MAX_BYTES = 1 << 20;
const MAX_TOKENS = 4096;

/** Turns protein sequences into token ids exactly as transformers' `EsmTokenizer` does. */
export class EsmTokenizer {
  /** Number of tokens: 33 for every published ESM. */
  readonly size: number;
  readonly clsId: number;
  readonly padId: number;
  readonly eosId: number;
  readonly unkId: number;
  readonly maskId: number;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #known: RegExp;

  /**
   * @param vocabulary the tokens in the order of their ids
   * @param name what the vocabulary is called in errors: the path of `vocab.txt`
   * @throws OnnxLoraError `CONFIG_INVALID` when a token is empty or occurs twice, or a special token is missing
   */
  constructor(vocabulary: readonly string[], name: string = VOCABULARY) {
    this.#ids = new Map(vocabulary.map((token, id) => [token, id]));
    if (vocabulary.length > MAX_TOKENS || this.#ids.size !== vocabulary.length || this.#ids.has('')) {
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" must hold one different token a line, at most ${MAX_TOKENS}, but it holds ${vocabulary.length}, ${this.#ids.size} of them different. Use the file that came with the model.`,
      );
    }
    const special = (token: string): number => {
      const id = this.#ids.get(token);
      if (id !== undefined) return id;
      throw new OnnxLoraError(
        'CONFIG_INVALID',
        `"${name}" has no token "${token}", which every ESM vocabulary has. Use the file that came with the model.`,
      );
    };
    this.size = vocabulary.length;
    [this.clsId, this.padId, this.eosId] = [special('<cls>'), special('<pad>'), special('<eos>')];
    [this.unkId, this.maskId] = [special('<unk>'), special('<mask>')];
    // The longest token that fits wins, so that "<mask>" is never read as something shorter.
    const alternatives = vocabulary.toSorted((a, b) => b.length - a.length).map(escaped);
    this.#known = new RegExp(`(${alternatives.join('|')})`, 'u');
  }

  /**
   * Reads `vocab.txt` of a model's folder.
   *
   * @throws OnnxLoraError `FILE_NOT_FOUND` or `CONFIG_INVALID`, naming the file
   */
  static async read(folder: string): Promise<EsmTokenizer> {
    const file = join(folder, VOCABULARY);
    const text = await readBounded(file);
    return new EsmTokenizer(
      text
        .trimEnd()
        .split(/\r\n|\n|\r/)
        .map((token) => token.trim()),
      file,
    );
  }

  /**
   * Ids of `text` between `<cls>` and `<eos>`. Blanks separate and vanish. What is not in the vocabulary (lower case,
   * J, * and the like) becomes `<unk>`, one for an unbroken run of it.
   *
   * @param maxLength cuts the residues so that no more ids than this come back, `<cls>` and `<eos>` included
   * @throws OnnxLoraError `INPUT_INVALID` when `maxLength` leaves no room for `<cls>` and `<eos>`
   */
  encode(text: string, maxLength: number = Infinity): number[] {
    if (!(maxLength >= 2)) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The maximal length must be at least 2, for <cls> and <eos>, not ${maxLength}.`,
      );
    }
    // Splitting at a captured group puts the known tokens at the odd places.
    const ids = text.split(this.#known).flatMap((piece, i) => {
      if (i % 2 === 1) return [this.#ids.get(piece)!];
      return piece
        .split(/\s+/)
        .filter(Boolean)
        .map(() => this.unkId);
    });
    return [this.clsId, ...ids.slice(0, maxLength - 2), this.eosId];
  }
}

function escaped(token: string): string {
  return token.replace(/[$()*+.?[\\\]^{|}/]/g, String.raw`\$&`);
}

async function readBounded(file: string): Promise<string> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const { size } = await handle.stat();
    if (size <= MAX_BYTES) return await handle.readFile('utf8');
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `"${file}" has ${size} bytes, but a vocabulary has at most ${MAX_BYTES}. Use the file that came with the model.`,
    );
  } catch (cause) {
    if (cause instanceof OnnxLoraError) throw cause;
    throw new OnnxLoraError(
      (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'FILE_NOT_FOUND' : 'CONFIG_INVALID',
      `"${file}" cannot be read: ${(cause as Error).message}. ESM needs it to number residues; it comes with the model.`,
      { cause },
    );
  } finally {
    await handle?.close();
  }
}
