/** @file Decoders without a cache: each pass computes the whole text again. */

import type { AdapterChoice } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions, RunnableSession } from '@onnx-lora/sdk/tasks';
import type { Decoding, DecodingStart, TokenDecoder } from './decoding.ts';
import { FixedFeeds, tokenFeeds } from './decoderFeeds.ts';
import { placesFed } from './logitPlaces.ts';
import { adaptersOf, logitsAt } from './rows.ts';

interface Loaded {
  readonly model: RunnableModel;
  readonly ids: string;
  readonly session: RunnableSession;
}

/** A decoder that was exported without a past. */
export class PlainDecoder implements TokenDecoder {
  readonly #loaded: Loaded;

  /** Internal: use {@link PlainDecoder.open}. */
  private constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  /** Loads the decoder; `ids` is the input of the tokens. */
  static async open(model: RunnableModel, ids: string, options: RunnableOptions): Promise<PlainDecoder> {
    return new PlainDecoder({ model, ids, session: await model.session(options) });
  }

  begin(start: DecodingStart): Decoding {
    return new PlainDecoding(this.#loaded, start);
  }

  release(): Promise<void> {
    return this.#loaded.session.release();
  }
}

class PlainDecoding implements Decoding {
  readonly #loaded: Loaded;
  readonly #signal: AbortSignal | undefined;
  readonly #fixed: FixedFeeds;
  #adapter: AdapterChoice;
  #padding: readonly number[] | undefined;
  #tokens: readonly (readonly number[])[];

  constructor(loaded: Loaded, { rows, fixed = {}, padding, adapter = null, signal }: DecodingStart) {
    this.#loaded = loaded;
    this.#signal = signal;
    this.#adapter = adapter;
    this.#padding = padding;
    this.#fixed = new FixedFeeds(fixed, rows);
    this.#tokens = Array.from({ length: rows }, () => []);
  }

  async next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]> {
    const { model, ids, session } = this.#loaded;
    const before = this.#tokens[0]!.length;
    this.#tokens = this.#tokens.map((own, i) => [...own, ...tokens[i]!]);
    const wanted = places?.map((place) => before + place) ?? [this.#tokens[0]!.length - 1];
    const { feeds, at } = placesFed(model, wanted);
    const { feeds: fixed, ...bound } = this.#fixed.of(session);
    const appended = { ids, tokens: this.#tokens, before: 0, padding: this.#padding };
    const { logits } = await session.run(
      { ...fixed, ...feeds, ...tokenFeeds(model, appended) },
      {
        adapter: this.#adapter,
        fetches: ['logits'],
        ...bound,
        ...(this.#signal ? { signal: this.#signal } : {}),
      },
    );
    return logitsAt(logits, at);
  }

  select(rows: readonly number[]): void {
    this.#fixed.select(rows);
    this.#tokens = rows.map((row) => this.#tokens[row]!);
    this.#padding &&= rows.map((row) => this.#padding![row]!);
    this.#adapter = adaptersOf(this.#adapter, rows);
  }

  release(): void {
    this.#fixed.release();
  }
}
