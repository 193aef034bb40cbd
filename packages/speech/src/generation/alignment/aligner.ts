/** @file When what a model has written is said: reads the text once more, and looks at what the decoder attends to. */

import { type AdapterSession, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type RunnableModel, type RunnableOptions, fromHalves } from '@onnx-lora/sdk/tasks';
import type { GenerationConfig } from '../generationConfig.ts';
import { crossAttentions, type DecoderPorts } from '../decoder/openDecoder.ts';
import type { HeardSizes } from '../hearing.ts';
import type { DecodeOptions } from '../speechEngine.ts';
import { type Grid, tokenTimes } from './tokenTimes.ts';

/** A text and the sound in which it is said. */
export interface AlignRequest {
  /** What the encoder made of the sound, `[1, positions, hidden]`. */
  readonly states: Tensor;
  readonly prompt: readonly number[];
  /** What was written behind the prompt. */
  readonly tokens: readonly number[];
  /** Positions of the encoder that are sound, and not padding. */
  readonly positions: number;
  /** Of the inputs that the states were made of, where they are smaller than the graph says. */
  readonly sizes?: HeardSizes;
}

/** A decoder with its attention as outputs, which is loaded when it is needed first. */
export class Aligner {
  readonly #model: RunnableModel;
  readonly #config: GenerationConfig;
  readonly #options: RunnableOptions;
  /** By how much is heard. */
  readonly #opened = new Map<string, Promise<OpenedAligner>>();

  constructor(model: RunnableModel, config: GenerationConfig, options: RunnableOptions) {
    this.#model = model;
    this.#config = config;
    this.#options = options;
  }

  /**
   * The position of the encoder at which each token ends.
   *
   * @throws OnnxLoraError `MODEL_UNSUPPORTED` for a graph that does not show what its decoder attends to; others as
   *   `session.run`
   */
  async times(
    { states, prompt, tokens, positions, sizes }: AlignRequest,
    { adapter = null, signal }: Pick<DecodeOptions, 'adapter' | 'signal'>,
  ): Promise<number[]> {
    if (tokens.length === 0 || positions === 0) return tokens.map(() => 0);
    const key = JSON.stringify(sizes);
    const opened = this.#opened.get(key) ?? this.#open(sizes);
    this.#opened.set(key, opened);
    const { session, ports, layers } = await opened;
    const all = [...prompt, ...tokens];
    const feeds = { [ports.ids]: int64(all, [1, all.length]), [ports.states]: states };
    const fetches = [...new Set(layers.map(({ value }) => value))];
    const found = await session.run(feeds, { adapter, fetches, ...(signal ? { signal } : {}) });
    return tokenTimes(layers.map(({ value, head }) => headWeights(found[value]!, head, prompt.length, positions)));
  }

  /** Frees the sessions. */
  async release(): Promise<void> {
    for (const each of this.#opened.values()) await (await each.catch(() => undefined))?.session.release();
  }

  async #open(sizes: HeardSizes | undefined): Promise<OpenedAligner> {
    const cut = crossAttentions(this.#model, sizes);
    if (!cut) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The decoder of "${this.#model.name}" does not show what it attends to, so nothing says when words are said. Ask for timestamps of segments, or export the model without fused attention, with a decoder_model.onnx beside decoder_model_merged.onnx (optimum-cli export onnx --task automatic-speech-recognition-with-past).`,
      );
    }
    const { decoder, values, ports } = cut;
    // Without a choice of heads, all of the upper half of the layers. @see openai-whisper, whisper/model.py
    const upper = values.map((value, layer) => ({ value, layer })).filter(({ layer }) => layer >= values.length / 2);
    const heads = this.#config.alignmentHeads?.filter(([layer]) => layer < values.length);
    const layers = heads?.length
      ? heads.map(([layer, head]) => ({ value: values[layer]!, head }))
      : upper.map(({ value }) => ({ value }));
    const session = await decoder.withOutputs(layers.map(({ value }) => value)).session(this.#options);
    return { session, ports, layers };
  }
}

interface OpenedAligner {
  readonly session: AdapterSession;
  readonly ports: DecoderPorts;
  /** Which weights are looked at; those of all heads, on average, where none is named. */
  readonly layers: readonly { readonly value: string; readonly head?: number }[];
}

/** The weights of one head behind the prompt, `[tokens, positions]`, of a tensor `[1, heads, length, all]` or `[heads, length, all]`. */
function headWeights(weights: Tensor, head: number | undefined, prompt: number, positions: number): Grid {
  const [heads = 0, length = 0, all = 0] = weights.dims.slice(-3);
  const chosen = head === undefined ? Array.from({ length: heads }, (_, i) => i) : [head];
  if (weights.dims.length < 3 || chosen.some((each) => each >= heads)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `The decoder's attention has the shape [${weights.dims.join(', ')}], in which there is no head ${head ?? 0}. Compare alignment_heads in generation_config.json with the model.`,
    );
  }
  const values = weights.type === 'float16' ? fromHalves(weights.data as Uint16Array) : (weights.data as Float32Array);
  const [rows, columns] = [length - prompt, Math.min(all, positions)];
  const data = new Float64Array(rows * columns);
  for (const each of chosen) {
    for (let row = 0; row < rows; row++) {
      const at = (each * length + prompt + row) * all;
      for (let i = 0; i < columns; i++) data[row * columns + i]! += values[at + i]! / chosen.length;
    }
  }
  return { rows, columns, data };
}
