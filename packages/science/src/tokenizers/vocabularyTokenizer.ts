/** @file What all tokenizers of sequences share: a vocabulary, its special tokens, and what stands around a sequence. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { addedBy, type Frame, framedBy } from './frame.ts';
import type { FramedTokens, SequenceTokenizer, SequenceTokens } from './sequenceTokenizer.ts';

/** A vocabulary and the part that its special tokens play. */
export interface Vocabulary {
  /** Tokens by their ids; where an id has none there is a gap. */
  readonly tokens: readonly (string | undefined)[];
  readonly padId: number;
  readonly unknownId?: number | undefined;
  readonly maskId?: number | undefined;
  /** Beside those above. */
  readonly specialIds: Iterable<number>;
  readonly frame: Frame;
  readonly maxLength?: number | undefined;
  /** The file that it is from, for messages. */
  readonly path: string;
}

/** A tokenizer but for how it cuts texts. */
export abstract class VocabularyTokenizer implements SequenceTokenizer {
  readonly size: number;
  readonly padId: number;
  readonly unknownId?: number;
  readonly maskId?: number;
  readonly specialIds: ReadonlySet<number>;
  readonly added: { readonly single: number; readonly pair: number };
  readonly maxLength?: number;
  abstract readonly isPerLetter: boolean;
  readonly #tokens: readonly (string | undefined)[];
  readonly #ids = new Map<string, number>();
  readonly #frame: Frame;
  readonly #path: string;

  constructor({ tokens, padId, unknownId, maskId, specialIds, frame, maxLength, path }: Vocabulary) {
    this.size = tokens.length;
    this.padId = padId;
    if (unknownId !== undefined) this.unknownId = unknownId;
    if (maskId !== undefined) this.maskId = maskId;
    if (maxLength !== undefined) this.maxLength = maxLength;
    this.#tokens = tokens;
    tokens.forEach((token, id) => {
      if (token !== undefined) this.#ids.set(token, id);
    });
    this.#frame = frame;
    this.#path = path;
    this.added = addedBy(frame);
    const framing = frame.pair.flatMap((item) => ('id' in item ? [item.id] : []));
    const all = [padId, unknownId, maskId, ...specialIds, ...framing];
    this.specialIds = new Set(all.filter((id) => id !== undefined));
  }

  abstract tokens(text: string): SequenceTokens;

  /**
   * The id of a piece of text, or that of what is unknown.
   *
   * @throws OnnxLoraError `DATA_INVALID` where the vocabulary has neither
   */
  protected idOrUnknown(piece: string): number {
    const id = this.#ids.get(piece) ?? this.unknownId;
    if (id !== undefined) return id;
    throw new OnnxLoraError(
      'DATA_INVALID',
      `"${piece}" is no token of "${this.#path}", which has none for what is unknown either. Check that the letters are those that the model was made for.`,
    );
  }

  framed(ids: readonly number[], second?: readonly number[]): FramedTokens {
    return framedBy(this.#frame, ids, second);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }
}
