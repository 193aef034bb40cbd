/** @file Aligns a text with its sound: token times from the cross-attention of the decoder. */

import { type AdapterSession, int64, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { type RunnableModel, type RunnableOptions, fromHalves } from '@onnx-lora/sdk/tasks';
import { crossAttentions, type DecoderPorts } from '../encoderAndDecoder.ts';
import type { GenerationConfig } from '../generationConfig.ts';
import type { ContextSizes } from '../../features/audioContext.ts';
import type { DecodeOptions } from '../speechEngine.ts';

export interface Grid {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

const DIAGONAL = 0;
const DOWN = 1;
const RIGHT = 2;

/** Dynamic time warping through costs; the first column of each row. @see openai-whisper, whisper/timing.py, dtw */
export function timeWarp({ rows, columns, data }: Grid): number[] {
  const width = columns + 1;
  // The inner loop goes over rows, so two columns of costs are enough.
  const costs = [new Float32Array(rows + 1).fill(Infinity), new Float32Array(rows + 1).fill(Infinity)] as const;
  const steps = new Uint8Array((rows + 1) * width);
  steps.fill(RIGHT, 0, width);
  for (let row = 1; row <= rows; row++) steps[row * width] = DOWN;
  costs[0][0] = 0;
  for (let column = 1; column <= columns; column++) {
    const before = costs[(column - 1) % 2]!;
    const now = costs[column % 2]!;
    now[0] = Infinity;
    for (let row = 1; row <= rows; row++) {
      const [diagonal, down, right] = [before[row - 1]!, now[row - 1]!, before[row]!];
      const isDiagonal = diagonal < down && diagonal < right;
      const isDown = !isDiagonal && down < diagonal && down < right;
      now[row] = data[(row - 1) * columns + column - 1]! + (isDiagonal ? diagonal : isDown ? down : right);
      steps[row * width + column] = isDiagonal ? DIAGONAL : isDown ? DOWN : RIGHT;
    }
  }
  const first = new Array<number>(rows).fill(0);
  for (let [row, column] = [rows, columns]; row > 0 || column > 0;) {
    if (row > 0) first[row - 1] = Math.max(0, column - 1);
    const step = steps[row * width + column];
    if (step !== RIGHT) row--;
    if (step !== DOWN) column--;
  }
  return first;
}

/** Width of the median filter, as in all published configurations. */
const FILTER_WIDTH = 7;

/**
 * Encoder positions at which tokens end, one per row of attention weights `[tokens, positions]`. Weights are
 * standardised over tokens, median-filtered over time and averaged over heads; a token's place is on the cheapest path.
 * @param heads at least one, all of the same size
 * @see transformers, WhisperGenerationMixin._extract_token_timestamps; openai-whisper, whisper/timing.py,
 *   find_alignment
 */
export function tokenTimes(heads: readonly Grid[]): number[] {
  const { rows, columns } = heads[0]!;
  const costs = { rows, columns, data: new Float64Array(rows * columns) };
  const smooth = new Float64Array(columns);
  for (const head of heads) {
    const scores = standardised(head);
    for (let row = 0; row < rows; row++) {
      medianFilter(scores.subarray(row * columns, (row + 1) * columns), smooth);
      for (let i = 0; i < columns; i++) costs.data[row * columns + i]! -= smooth[i]! / heads.length;
    }
  }
  return timeWarp(costs);
}

/** Standardises over tokens, at each position. */
function standardised({ rows, columns, data }: Grid): Float64Array {
  const scores = Float64Array.from(data);
  for (let i = 0; i < columns; i++) {
    let [sum, squares] = [0, 0];
    for (let row = 0; row < rows; row++) sum += scores[row * columns + i]!;
    const mean = sum / rows;
    for (let row = 0; row < rows; row++) squares += (scores[row * columns + i]! - mean) ** 2;
    const deviation = Math.sqrt(squares / rows);
    // Equal weights carry no information.
    for (let at = i; at < scores.length; at += columns)
      scores[at] = deviation === 0 ? 0 : (scores[at]! - mean) / deviation;
  }
  return scores;
}

/** The median of each value and its neighbours, with mirrored ends. Too few values stay as they are. */
export function medianFilter(values: Float64Array, result: Float64Array): void {
  const half = (FILTER_WIDTH - 1) / 2;
  const { length } = values;
  if (length <= half) {
    result.set(values);
    return;
  }
  const window = new Float64Array(FILTER_WIDTH);
  const last = length - 1;
  for (let i = 0; i < length; i++) {
    for (let k = -half; k <= half; k++) {
      const at = Math.abs(i + k);
      window[k + half] = values[at > last ? 2 * last - at : at]!;
    }
    result[i] = window.sort()[half]!;
  }
}

export interface AlignRequest {
  readonly states: Tensor;
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  /** Encoder positions that are sound. */
  readonly positions: number;
  /** Input sizes of the encoder, if smaller than the graph's. */
  readonly sizes?: ContextSizes;
}

/** A decoder with its attention weights as outputs, loaded on first use. */
export class Aligner {
  readonly #model: RunnableModel;
  readonly #config: GenerationConfig;
  readonly #options: RunnableOptions;
  readonly #opened = new Map<string, Promise<OpenedAligner>>();

  constructor(model: RunnableModel, config: GenerationConfig, options: RunnableOptions) {
    this.#model = model;
    this.#config = config;
    this.#options = options;
  }

  /** Encoder positions at which tokens end. @throws OnnxLoraError `MODEL_UNSUPPORTED` without cross-attention */
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

  async release(): Promise<void> {
    for (const each of this.#opened.values()) await (await each.catch(() => undefined))?.session.release();
  }

  async #open(sizes: ContextSizes | undefined): Promise<OpenedAligner> {
    const cut = crossAttentions(this.#model, sizes);
    if (!cut) {
      throw new OnnxLoraError(
        'MODEL_UNSUPPORTED',
        `The decoder of "${this.#model.name}" does not show what it attends to, so nothing says when words are said. Ask for timestamps of segments, or export the model without fused attention, with a decoder_model.onnx beside decoder_model_merged.onnx (optimum-cli export onnx --task automatic-speech-recognition-with-past).`,
      );
    }
    const { decoder, values, ports } = cut;
    // By default, all heads of the upper half of the layers. @see openai-whisper, whisper/model.py
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
  /** Attention weights in use; all heads of a layer on average if none is named. */
  readonly layers: readonly { readonly value: string; readonly head?: number }[];
}

/** One head's weights after the prompt, `[tokens, positions]`; the weights may have a batch dimension. */
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
