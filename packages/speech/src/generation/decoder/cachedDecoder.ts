/** @file Decoders that keep keys and values of what was written: each pass computes one token. */

import {
  type AdapterChoice,
  type AdapterSession,
  type Feeds,
  int64,
  type BoundFeeds,
  tensor,
  type Tensor,
} from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import { arrayOf } from '@onnx-lora/sdk/core';
import type { Decoding, DecodingOptions, TokenDecoder } from './decoding.ts';
import { placesFed } from './logitPlaces.ts';
import { adaptersOf, asPort, logitsAt, ones, selectRows } from './rows.ts';

/** Whether the first pass is this input's false, and the others its true: both decoders in one file. */
const BRANCH = 'use_cache_branch';

/** Which positions of the sound are heard: all of them. */
const MASK = 'encoder_attention_mask';

/** The two passes: with the prompt, and with one token and what was kept. */
interface Passes {
  readonly first: AdapterSession;
  readonly next: AdapterSession;
  readonly models: { readonly first: RunnableModel; readonly next: RunnableModel };
}

/**
 * A decoder with a past, as optimum exports it: `decoder_model.onnx` for the first pass and `decoder_with_past_model.onnx` for
 * the others, or both as the branches of one If, in `decoder_model_merged.onnx`.
 */
export class CachedDecoder implements TokenDecoder {
  readonly #passes: Passes;

  /** Used by {@link CachedDecoder.open}. */
  private constructor(passes: Passes) {
    this.#passes = passes;
  }

  /** @param next the same model as `first` where that holds both */
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

  begin(states: Tensor, options: DecodingOptions = {}): Decoding {
    return new CachedDecoding(this.#passes, states, options);
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
  #length = 0;
  /** What grows with the text: keys and values of its own tokens, by the names of the inputs. */
  #own: Feeds = {};
  /** What stays the same: keys and values of the sound, and the encoder's states. */
  #sound: Feeds;
  /** Which rows of the sound the texts are about. */
  #soundRows: readonly number[];
  #bound: BoundFeeds | undefined;

  constructor(passes: Passes, states: Tensor, { adapter = null, signal }: DecodingOptions) {
    this.#passes = passes;
    this.#signal = signal;
    this.#adapter = adapter;
    const { inputs } = passes.models.first;
    this.#sound = {
      encoder_hidden_states: asPort(states, inputs['encoder_hidden_states']),
      ...(MASK in inputs ? { [MASK]: ones(states.dims.slice(0, 2)) } : {}),
    };
    this.#soundRows = Array.from({ length: states.dims[0]! }, (_, i) => i);
  }

  async next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]> {
    const count = tokens[0]!.length;
    const isFirst = this.#length === 0;
    const { models } = this.#passes;
    const { feeds, at } = placesFed(isFirst ? models.first : models.next, places ?? [count - 1]);
    const outputs = await (isFirst ? this.#first(tokens, feeds) : this.#further(tokens, feeds));
    this.#length += count;
    return logitsAt(outputs['logits'], at);
  }

  select(rows: readonly number[]): void {
    this.#own = mapped(this.#own, (each) => selectRows(each, rows));
    this.#adapter = adaptersOf(this.#adapter, rows);
    const sounds = rows.map((row) => this.#soundRows[row]!);
    // The beams of a clip hear the same.
    if (sounds.length === this.#soundRows.length && sounds.every((sound, i) => sound === this.#soundRows[i])) return;
    this.#sound = mapped(this.#sound, (each) => selectRows(each, rows));
    this.#soundRows = sounds;
    this.release();
  }

  release(): void {
    this.#bound?.release();
    this.#bound = undefined;
  }

  async #first(tokens: readonly (readonly number[])[], places: Feeds): Promise<Readonly<Record<string, Tensor>>> {
    const { first, models } = this.#passes;
    const rows = tokens.length;
    const feeds: Record<string, Tensor> = { ...this.#sound, ...places, ...this.#common(models.first, tokens, false) };
    for (const [name, { type, dims }] of Object.entries(models.first.inputs)) {
      if (!name.startsWith('past_key_values.')) continue;
      // Nothing is kept yet. Its rows are the batch, and its heads and their size are known.
      const shape = (dims ?? []).map((dim, axis) => (axis === 0 ? rows : typeof dim === 'number' ? dim : 0));
      feeds[name] = tensor(type, new (arrayOf(type))(0), shape);
    }
    const outputs = await first.run(feeds, this.#options());
    const past = Object.entries(outputs).flatMap(([name, value]) => {
      const input = name.replace(/^present\b/, 'past_key_values');
      return input in models.next.inputs && input !== name ? [[input, value] as const] : [];
    });
    this.#own = Object.fromEntries(past.filter(([name]) => !isOfAudio(name)));
    const read = Object.entries(this.#sound).filter(([name]) => name in models.next.inputs);
    this.#sound = { ...Object.fromEntries(read), ...Object.fromEntries(past.filter(([name]) => isOfAudio(name))) };
    return outputs;
  }

  async #further(tokens: readonly (readonly number[])[], places: Feeds): Promise<Readonly<Record<string, Tensor>>> {
    const { next, models } = this.#passes;
    this.#bound ??= next.bind(this.#sound);
    const feeds = {
      ...(this.#bound ? {} : this.#sound),
      ...this.#own,
      ...places,
      ...this.#common(models.next, tokens, true),
    };
    const names = Object.keys(this.#own).map((name) => [name, name.replace('past_key_values', 'present')] as const);
    const outputs = await next.run(feeds, {
      ...this.#options(),
      // What is kept of the sound comes back as it was, or as a dummy.
      fetches: ['logits', ...names.map(([, output]) => output)],
      ...(this.#bound ? { bound: [this.#bound] } : {}),
    });
    this.#own = Object.fromEntries(names.map(([name, output]) => [name, outputs[output]!]));
    return outputs;
  }

  #options(): { readonly adapter: AdapterChoice; readonly signal?: AbortSignal } {
    return { adapter: this.#adapter, ...(this.#signal ? { signal: this.#signal } : {}) };
  }

  #common({ inputs }: RunnableModel, tokens: readonly (readonly number[])[], hasPast: boolean): Feeds {
    const count = tokens[0]!.length;
    const positions = Array.from({ length: count }, (_, i) => this.#length + i);
    return {
      input_ids: int64(tokens.flat(), [tokens.length, count]),
      ...(BRANCH in inputs ? { [BRANCH]: tensor('bool', Uint8Array.of(hasPast ? 1 : 0), [1]) } : {}),
      ...('cache_position' in inputs ? { cache_position: int64(positions, [count]) } : {}),
    };
  }
}

/** Keys and values of the encoder's states, against those of the text's own tokens. */
function isOfAudio(name: string): boolean {
  return name.includes('.encoder.');
}

function mapped(feeds: Feeds, change: (tensor: Tensor) => Tensor): Feeds {
  return Object.fromEntries(Object.entries(feeds).map(([name, each]) => [name, change(each)]));
}
