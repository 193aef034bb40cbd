/** @file Texts that a model writes: a generator, and what it gives. */

import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { Prompt, Prompts, RowPrompt } from './checkedPrompts.ts';
import type { GenerateOptions } from './generateOptions.ts';

/** Why a text is over: the model ended it, a stop string was reached, or there may be no more tokens. */
export type FinishReason = 'end' | 'stop' | 'length';

/** A generated token. */
export interface TextPiece {
  /** Row of its prompt in the batch; 0 for a single prompt. */
  readonly row: number;
  /** Its id. */
  readonly token: number;
  /** New text that is certain by now: empty within a character, or where a stop string may begin. */
  readonly text: string;
  /** With the last token of a row. */
  readonly finish?: FinishReason;
}

/** A text that was written. */
export interface GeneratedText {
  /** Without the prompt. */
  readonly text: string;
  /** Ids of its tokens, with the end where the model wrote one. */
  readonly tokens: readonly number[];
  /** Why it is over. */
  readonly finish: FinishReason;
  /** Of a beam search: mean log-probability, as `lengthPenalty` weighs it. */
  readonly score?: number;
  /** Of a beam search of which several texts are asked for: all of them, best first. */
  readonly alternatives?: readonly GeneratedText[];
}

/** A language model with its adapters, ready to write. */
export interface TextGenerator extends AsyncDisposable {
  /** The model's vocabulary. */
  readonly tokenizer: SequenceTokenizer;
  /**
   * Goes on with a prompt, or with each of a batch, and gives every token as soon as it is written; beams only in the end. What
   * is written for one row does not depend on the others. Leaving the loop ends it.
   *
   * Of the last text of a single prompt the cache is kept: where the next prompt begins as that text, as a conversation does,
   * only what is new is read.
   * @throws OnnxLoraError `INPUT_INVALID` for prompts and options that cannot be, before the work; `CANCELLED`; others as
   *   `session.run`
   */
  generate(prompts: Prompts, options?: GenerateOptions): AsyncGenerator<TextPiece, readonly GeneratedText[]>;
  /** The whole text. */
  complete(prompt: Prompt, options?: GenerateOptions): Promise<GeneratedText>;
  /** The whole texts of a batch, in its order. */
  complete(prompts: readonly (Prompt | RowPrompt)[], options?: GenerateOptions): Promise<readonly GeneratedText[]>;
  /** Frees the session. */
  release(): Promise<void>;
}
