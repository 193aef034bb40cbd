/** @file A decoder with a key/value cache: each pass computes one token. */

import type { AdapterChoice, Feeds, Tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions, RunnableSession } from '@onnx-lora/sdk/tasks';
import type { Decoding, DecodingStart, Past, TokenDecoder } from './decoding.ts';
import { FixedFeeds, mapFeeds, tokenFeeds } from './decoderFeeds.ts';
import { placesFed } from './logitPlaces.ts';
import { emptyPast, outputFor, pastIn } from './past.ts';
import { adaptersOf, logitsAt, selectRows } from './rows.ts';

interface Passes {
  readonly first: RunnableSession;
  readonly next: RunnableSession;
  readonly models: { readonly first: RunnableModel; readonly next: RunnableModel };
}

/**
 * A decoder with a past, as optimum exports it: one file, whose past is empty at first; or with an encoder
 * `decoder_model.onnx` for the first pass and `decoder_with_past_model.onnx` for later ones, or both as branches of an
 * If in `decoder_model_merged.onnx`.
 */
export class CachedDecoder implements TokenDecoder {
  readonly #passes: Passes;

  /** Internal: use {@link CachedDecoder.open}. */
  private constructor(passes: Passes) {
    this.#passes = passes;
  }

  /** Loads the decoder; `next` is `first` itself if that has both passes. */
  static async open(first: RunnableModel, next: RunnableModel, options: RunnableOptions): Promise<CachedDecoder> {
    const session = await first.session(options);
    try {
      const models = { first, next };
      return new CachedDecoder({
        first: session,
        next: first === next ? session : await next.session(options),
        models,
      });
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  begin(start: DecodingStart): Decoding {
    return new CachedDecoding(this.#passes, start);
  }

  async release(): Promise<void> {
    const { first, next } = this.#passes;
    await first.release();
    if (next !== first) await next.release();
  }
}

class CachedDecoding implements Decoding {
  readonly #passes: Passes;
  readonly #signal: AbortSignal | undefined;
  #adapter: AdapterChoice;
  #padding: readonly number[] | undefined;
  #length: number;
  /** The decoder's self-attention cache, by input name. */
  #own: Feeds;
  /** Encoder states and the cross-attention cache. */
  readonly #fixed: FixedFeeds;

  constructor(passes: Passes, { rows, fixed = {}, padding, past, adapter = null, signal }: DecodingStart) {
    this.#passes = passes;
    this.#signal = signal;
    this.#adapter = adapter;
    this.#padding = padding;
    this.#length = past?.length ?? 0;
    this.#own = past?.tensors ?? {};
    this.#fixed = new FixedFeeds(fixed, rows);
  }

  get past(): Past {
    return { length: this.#length, tensors: this.#own };
  }

  async next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]> {
    const count = tokens[0]!.length;
    const { models } = this.#passes;
    const isFirst = this.#length === 0;
    const model = isFirst ? models.first : models.next;
    const { feeds, at } = placesFed(model, places ?? [count - 1]);
    const appended = { ids: 'input_ids', tokens, before: this.#length, padding: this.#padding };
    const fed = { ...feeds, ...tokenFeeds(model, appended) };
    const outputs = await (isFirst ? this.#first(fed, tokens.length) : this.#further(fed));
    this.#length += count;
    return logitsAt(outputs['logits'], at);
  }

  select(rows: readonly number[]): void {
    this.#own = mapFeeds(this.#own, (each) => selectRows(each, rows));
    this.#adapter = adaptersOf(this.#adapter, rows);
    this.#padding &&= rows.map((row) => this.#padding![row]!);
    this.#fixed.select(rows);
  }

  release(): void {
    this.#fixed.release();
  }

  async #first(fed: Feeds, rows: number): Promise<Readonly<Record<string, Tensor>>> {
    const { first, models } = this.#passes;
    const { feeds } = this.#fixed;
    const outputs = await first.run({ ...feeds, ...fed, ...emptyPast(models.first, rows) }, this.#options());
    const past = Object.entries(pastIn(outputs, models.next));
    this.#own = Object.fromEntries(past.filter(([name]) => !isOfEncoder(name)));
    const read = Object.entries(feeds).filter(([name]) => name in models.next.inputs);
    this.#fixed.replace({ ...Object.fromEntries(read), ...Object.fromEntries(past.filter(([name]) => isOfEncoder(name))) }); // prettier-ignore
    return outputs;
  }

  async #further(fed: Feeds): Promise<Readonly<Record<string, Tensor>>> {
    const { next } = this.#passes;
    const { feeds, ...bound } = this.#fixed.of(next);
    const names = Object.keys(this.#own);
    const outputs = await next.run(
      { ...feeds, ...this.#own, ...fed },
      // The encoder's past comes back unchanged, or as a dummy.
      { ...this.#options(), fetches: ['logits', ...names.map(outputFor)], ...bound },
    );
    this.#own = Object.fromEntries(names.map((name) => [name, outputs[outputFor(name)]!]));
    return outputs;
  }

  #options(): { readonly adapter: AdapterChoice; readonly signal?: AbortSignal } {
    return { adapter: this.#adapter, ...(this.#signal ? { signal: this.#signal } : {}) };
  }
}

function isOfEncoder(name: string): boolean {
  return name.includes('.encoder.');
}
