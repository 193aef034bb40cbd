/** @file The encoder of a model: from features to the states that its decoder reads. */

import type { AdapterChoice, Feeds, Tensor } from '@onnx-lora/sdk';
import type { RunnableModel, RunnableOptions, RunnableSession } from '@onnx-lora/sdk/tasks';
import {
  adaptersOf,
  asPort,
  type DecodingOptions,
  joinRows,
  ones,
  requireEach,
  selectRows,
} from '@onnx-lora/sequences';

/** Which of a batch's samples are sound. */
const MASK = 'attention_mask';

/** A loaded encoder. */
export class AudioEncoder {
  readonly #session: RunnableSession;
  readonly #inputs: RunnableModel['inputs'];
  /** The output with the states. */
  readonly #states: string;

  /** Used by {@link AudioEncoder.open}. */
  private constructor(session: RunnableSession, { inputs }: RunnableModel, states: string) {
    this.#session = session;
    this.#inputs = inputs;
    this.#states = states;
  }

  static async open(model: RunnableModel, states: string, options: RunnableOptions): Promise<AudioEncoder> {
    return new AudioEncoder(await model.session(options), model, states);
  }

  /** States `[rows, positions, hidden]` of a batch of features. */
  async encode(features: Feeds, { adapter = null, signal }: DecodingOptions): Promise<Tensor> {
    const known = Object.entries(features).filter(([name]) => name in this.#inputs);
    const feeds = known.map(([name, tensor]) => [name, asPort(tensor, this.#inputs[name])] as const);
    const [[, first] = []] = feeds;
    const rows = first?.dims[0] ?? 0;
    // Where the model was trained without a mask, and its graph has one all the same, all of it is sound.
    if (first && MASK in this.#inputs && !(MASK in features)) feeds.push([MASK, ones([rows, first.dims.at(-1)!])]);
    requireEach(adapter, rows, 'clips');
    const run = async (own: readonly (readonly [string, Tensor])[], each: AdapterChoice): Promise<Tensor> => {
      const options = { adapter: each, fetches: [this.#states], ...(signal ? { signal } : {}) };
      return (await this.#session.run(Object.fromEntries(own), options))[this.#states]!;
    };
    // On the CPU the attention of one clip of 30 s is more than its caches hold: several at once take longer, and more memory.
    if (this.#session.provider !== 'cpu') return run(feeds, adapter);
    const states: Tensor[] = [];
    for (let row = 0; row < rows; row++) {
      const own = feeds.map(([name, tensor]) => [name, selectRows(tensor, [row])] as const);
      states.push(await run(own, adaptersOf(adapter, [row])));
    }
    return joinRows(states);
  }

  /** Frees the session. */
  release(): Promise<void> {
    return this.#session.release();
  }
}
