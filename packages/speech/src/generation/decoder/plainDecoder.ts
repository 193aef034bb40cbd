/** @file Decoders that keep nothing: each pass computes the whole text again. */

import { type AdapterChoice, type AdapterSession, int64, type BoundFeeds, type Tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { Decoding, DecodingOptions, TokenDecoder } from './decoding.ts';
import { placesFed } from './logitPlaces.ts';
import { adaptersOf, asPort, logitsAt, selectRows } from './rows.ts';

/** What a decoder calls its inputs. */
export interface DecoderPorts {
  readonly ids: string;
  readonly states: string;
}

interface Loaded {
  readonly model: RunnableModel;
  readonly ports: DecoderPorts;
  readonly session: AdapterSession;
}

/** A decoder that was exported without a past. */
export class PlainDecoder implements TokenDecoder {
  readonly #loaded: Loaded;

  /** Used by {@link PlainDecoder.open}. */
  private constructor(loaded: Loaded) {
    this.#loaded = loaded;
  }

  static async open(model: RunnableModel, ports: DecoderPorts, options: RunnableOptions): Promise<PlainDecoder> {
    return new PlainDecoder({ model, ports, session: await model.session(options) });
  }

  begin(states: Tensor, options: DecodingOptions = {}): Decoding {
    return new PlainDecoding(this.#loaded, states, options);
  }

  release(): Promise<void> {
    return this.#loaded.session.release();
  }
}

class PlainDecoding implements Decoding {
  readonly #loaded: Loaded;
  readonly #signal: AbortSignal | undefined;
  #adapter: AdapterChoice;
  #states: Tensor;
  #bound: BoundFeeds | undefined;
  #ids: readonly (readonly number[])[];

  constructor(loaded: Loaded, states: Tensor, { adapter = null, signal }: DecodingOptions) {
    this.#loaded = loaded;
    this.#signal = signal;
    this.#adapter = adapter;
    this.#states = asPort(states, loaded.model.inputs[loaded.ports.states]);
    this.#ids = Array.from({ length: states.dims[0]! }, () => []);
  }

  async next(tokens: readonly (readonly number[])[], places?: readonly number[]): Promise<Float32Array[][]> {
    const { model, ports, session } = this.#loaded;
    const before = this.#ids[0]!.length;
    this.#ids = this.#ids.map((ids, i) => [...ids, ...tokens[i]!]);
    const length = this.#ids[0]!.length;
    const sound = { [ports.states]: this.#states };
    this.#bound ??= session.bind(sound);
    const ids = int64(this.#ids.flat(), [this.#ids.length, length]);
    const { feeds, at } = placesFed(model, places?.map((place) => before + place) ?? [length - 1]);
    const { logits } = await session.run(
      { [ports.ids]: ids, ...feeds, ...(this.#bound ? {} : sound) },
      {
        adapter: this.#adapter,
        fetches: ['logits'],
        ...(this.#bound ? { bound: [this.#bound] } : {}),
        ...(this.#signal ? { signal: this.#signal } : {}),
      },
    );
    return logitsAt(logits, at);
  }

  select(rows: readonly number[]): void {
    const states = selectRows(this.#states, rows);
    if (states !== this.#states) this.release();
    this.#states = states;
    this.#ids = rows.map((row) => this.#ids[row]!);
    this.#adapter = adaptersOf(this.#adapter, rows);
  }

  release(): void {
    this.#bound?.release();
    this.#bound = undefined;
  }
}
