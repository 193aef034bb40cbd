/** @file A text generator on a decoder of logits. */

import { isDeepStrictEqual } from '@onnx-lora/sdk/platform';
import type { RowAdapter } from '@onnx-lora/sdk';
import type { RunnableModel } from '@onnx-lora/sdk/tasks';
import { type Decoding, type Past, pastUpTo, type SequenceTokenizer, type TokenDecoder } from '@onnx-lora/sequences';
import {
  checkedPrompts,
  isBatch,
  type Prompt,
  type Prompts,
  type RowPrompt,
  type WantedText,
} from './checkedPrompts.ts';
import type { JsonSchema } from '../schema/jsonShape.ts';
import { SchemaTokens } from '../schema/schemaRule.ts';
import { type GenerateOptions, type GenerationDefaults, planOf } from './generateOptions.ts';
import type { GeneratedText, TextGenerator, TextPiece } from './textGenerator.ts';
import { TextWriter } from './writing.ts';

export interface GeneratorParts {
  /** Knows which dimension of the past is its length. */
  readonly model: RunnableModel;
  readonly decoder: TokenDecoder;
  readonly tokenizer: SequenceTokenizer;
  readonly defaults: GenerationDefaults;
  /** Whether rows of different lengths may be padded: the model takes a mask and positions. */
  readonly takesPadding: boolean;
  /** The default adapter. */
  readonly usual: RowAdapter;
}

/** The last text's tokens with their key-value cache. */
interface Kept {
  readonly ids: readonly number[];
  readonly adapter: RowAdapter;
  readonly past: Past;
}

interface Begun {
  readonly decoding: Decoding;
  readonly adapters: readonly RowAdapter[];
  /** Unread tokens per row. */
  readonly fed: readonly (readonly number[])[];
}

/** Generates texts with a {@link TokenDecoder}. */
export class DecoderGenerator implements TextGenerator {
  readonly tokenizer: SequenceTokenizer;
  readonly #parts: GeneratorParts;
  #kept: Kept | undefined;
  readonly #schemas = new WeakMap<JsonSchema, SchemaTokens>();

  constructor(parts: GeneratorParts) {
    this.#parts = parts;
    this.tokenizer = parts.tokenizer;
  }

  async *generate(
    prompts: Prompts,
    options: GenerateOptions = {},
  ): AsyncGenerator<TextPiece, readonly GeneratedText[]> {
    const { defaults, tokenizer, takesPadding } = this.#parts;
    const plan = planOf(options, defaults);
    const texts = checkedPrompts(prompts, { tokenizer, defaults, options, plan });
    const { schema, skipSpecialTokens: skipSpecial = true } = options;
    const extra = schema ? [this.#schemaTokens(schema).rule(plan.search.ends)] : [];
    const written: GeneratedText[] = [];
    const isSearch = plan.search.beams > 1;
    // A beam search has one limit for all rows, so rows with another limit are searched apart.
    const together = groups(texts, ({ ids, maxTokens }) => [takesPadding ? 0 : ids.length, isSearch ? maxTokens : 0].join()); // prettier-ignore
    for (const rows of together) {
      // Models may have logits beyond the vocabulary, which spell nothing.
      const decode = (ids: readonly number[]): string =>
        tokenizer.decode!(ids.filter((id) => tokenizer.tokenOf(id) !== undefined), { skipSpecial, isExact: schema !== undefined }); // prettier-ignore
      const writing = new TextWriter(rows, { plan, extra, decode });
      const begun = this.#begin(rows, options);
      try {
        const logits = await begun.decoding.next(begun.fed);
        yield* writing.pieces(begun.decoding, logits.map(([row]) => row!)); // prettier-ignore
      } finally {
        if (rows.length === 1 && !isSearch) this.#keep(begun, [...rows[0]!.ids, ...writing.tokens[0]!]);
        begun.decoding.release();
      }
      rows.forEach(({ row }, i) => (written[row] = writing.texts[i]!));
    }
    return written;
  }

  complete(prompt: Prompt, options?: GenerateOptions): Promise<GeneratedText>;
  complete(prompts: readonly (Prompt | RowPrompt)[], options?: GenerateOptions): Promise<readonly GeneratedText[]>;
  async complete(prompts: Prompts, options?: GenerateOptions): Promise<GeneratedText | readonly GeneratedText[]> {
    const writing = this.generate(prompts, options);
    for (;;) {
      const { done, value } = await writing.next();
      if (done) return isBatch(prompts) ? value : value[0]!;
    }
  }

  release(): Promise<void> {
    this.#kept = undefined;
    return this.#parts.decoder.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #schemaTokens(schema: JsonSchema): SchemaTokens {
    const known = this.#schemas.get(schema);
    if (known) return known;
    const made = new SchemaTokens(schema, this.tokenizer);
    this.#schemas.set(schema, made);
    return made;
  }

  /** Starts decoding, from the kept cache where prefixes match. */
  #begin(rows: readonly WantedText[], { adapter = this.#parts.usual, signal }: GenerateOptions): Begun {
    const { decoder, model, tokenizer } = this.#parts;
    const adapters = rows.map(({ own }) => (own.adapter === undefined ? adapter : own.adapter));
    const length = Math.max(...rows.map(({ ids }) => ids.length));
    const padding = rows.map(({ ids }) => length - ids.length);
    const kept = rows.length === 1 ? this.#takeKept(rows[0]!.ids, adapters[0]!) : undefined;
    const past = kept && pastUpTo(model, kept.past, kept.common);
    const decoding = decoder.begin({ rows: rows.length, adapter: adapters, signal, padding, past });
    const fed = rows.map(({ ids }, i) => [...Array<number>(padding[i]!).fill(tokenizer.padId), ...ids]);
    return { decoding, adapters, fed: fed.map((ids) => ids.slice(past?.length ?? 0)) };
  }

  /** Takes the cache of a text with a common prefix. The caller owns it: two prompts may continue it at once. */
  #takeKept(ids: readonly number[], adapter: RowAdapter): (Kept & { readonly common: number }) | undefined {
    const kept = this.#kept;
    if (!kept || !isDeepStrictEqual(kept.adapter, adapter)) return undefined;
    const differs = ids.findIndex((id, i) => id !== kept.ids[i]);
    // The last token is always read, for its logits.
    const common = Math.min(differs < 0 ? ids.length : differs, ids.length - 1);
    if (common === 0) return undefined;
    this.#kept = undefined;
    return { ...kept, common };
  }

  /** @param ids the whole text; its last token may be unread */
  #keep({ decoding: { past }, adapters }: Begun, ids: readonly number[]): void {
    if (past && past.length > 0) this.#kept = { ids: ids.slice(0, past.length), adapter: adapters[0]!, past };
  }
}

function groups<Item>(items: readonly Item[], key: (item: Item) => string): Item[][] {
  const found = new Map<string, Item[]>();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return [...found.values()];
}
