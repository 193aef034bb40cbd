/** @file The interface of text generators and their output. */

import type { SequenceTokenizer } from '@onnx-lora/sequences';
import type { Prompt, Prompts, RowPrompt } from './checkedPrompts.ts';
import type { GenerateOptions } from './generateOptions.ts';

/** The reason for a text's end: an end token, a stop string, or the maximum length. */
export type FinishReason = 'end' | 'stop' | 'length';

/** A generated token. */
export interface TextPiece {
  /** Row of its prompt in the batch; 0 for a single prompt. */
  readonly row: number;
  /** Token id. */
  readonly token: number;
  /** The new text that is certain: empty within a character or a possible stop string. */
  readonly text: string;
  /** Set with the last token of a row. */
  readonly finish?: FinishReason;
}

/** A generated text. */
export interface GeneratedText {
  /** The text without its prompt. */
  readonly text: string;
  /** Token ids, including an end token. */
  readonly tokens: readonly number[];
  /** The reason for its end. */
  readonly finish: FinishReason;
  /** In a beam search, the mean log-probability weighted by `lengthPenalty`. */
  readonly score?: number;
  /** In a beam search for several texts, all of them, best first. */
  readonly alternatives?: readonly GeneratedText[];
}

/** A language model with its adapters, ready to generate. */
export interface TextGenerator extends AsyncDisposable {
  /** The model's tokenizer. */
  readonly tokenizer: SequenceTokenizer;
  /**
   * Continues a prompt, or each of a batch, and streams the tokens; a beam search yields them at its end. Rows are
   * independent of each other. Leaving the loop stops the generation.
   *
   * The key-value cache of the last single prompt stays, so a prompt that continues its text, as in a conversation,
   * reads only the new tokens.
   * @throws OnnxLoraError `INPUT_INVALID` for invalid prompts and options, in advance; `CANCELLED`; others as
   * `session.run`
   */
  generate(prompts: Prompts, options?: GenerateOptions): AsyncGenerator<TextPiece, readonly GeneratedText[]>;
  /** Generates the whole text. */
  complete(prompt: Prompt, options?: GenerateOptions): Promise<GeneratedText>;
  /** Generates the whole texts of a batch, in its order. */
  complete(prompts: readonly (Prompt | RowPrompt)[], options?: GenerateOptions): Promise<readonly GeneratedText[]>;
  /** Frees the session. */
  release(): Promise<void>;
}
