/** @file A loaded encoder-decoder model with its adapters: features in, tokens out. */

import { type AdapterChoice, type Feeds, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { logSumExp, type RunnableModel, type RunnableOptions } from '@onnx-lora/sdk/tasks';
import type { Random } from '@onnx-lora/sdk/data';
import { adaptersOf, beamSearch, type DecodingOptions, requireEach, selectRows, stepwiseSearch } from '@onnx-lora/sequences'; // prettier-ignore
import { type DecodedWindow, firstLogits, rulesOf } from './decodingRules.ts';
import type { GenerationConfig } from './generationConfig.ts';
import type { ContextSizes } from '../features/audioContext.ts';
import { openDecoder, type ServingParts, servingParts, type SpeechDecoder, AudioEncoder } from './encoderAndDecoder.ts';
import type { HeardLanguage } from './transcriber.ts';

export interface DecodeOptions {
  /** One adapter for all rows, or one per row; the base by default. */
  readonly adapter?: AdapterChoice;
  /** Writes times, by Whisper's rules. */
  readonly timestamps?: boolean;
  readonly beams?: number;
  /** Most tokens per text, the end included. */
  readonly maxTokens?: number;
  /** 0 (the default) is greedy; above, tokens are sampled. */
  readonly temperature?: number;
  /** Random source for sampling. */
  readonly random?: Random;
  readonly scores?: boolean;
  readonly signal?: AbortSignal | undefined;
}

const MOST_BEAMS = 64;

interface Loaded {
  readonly model: RunnableModel;
  readonly options: RunnableOptions;
  readonly parts: ServingParts;
  readonly encoder: AudioEncoder;
  readonly decoder: SpeechDecoder;
}

/** A loaded encoder-decoder model. */
export class SpeechEngine {
  readonly config: GenerationConfig;
  readonly #loaded: Loaded;
  /** Engines with a shorter context, by input sizes. */
  readonly #short = new Map<string, Promise<SpeechEngine>>();

  private constructor(config: GenerationConfig, loaded: Loaded) {
    this.#loaded = loaded;
    this.config = config;
  }

  /** Loads encoder and decoder. @throws OnnxLoraError `MODEL_UNSUPPORTED` without either; others as `model.session` */
  static async open(
    model: RunnableModel,
    config: GenerationConfig,
    options: RunnableOptions = {},
  ): Promise<SpeechEngine> {
    return SpeechEngine.#open(model, config, options, servingParts(model));
  }

  /** @param of an engine whose decoder is shared, if it takes any number of positions */
  static async #open(
    model: RunnableModel,
    config: GenerationConfig,
    options: RunnableOptions,
    parts: ServingParts,
    of?: Loaded,
  ): Promise<SpeechEngine> {
    const encoder = await AudioEncoder.open(parts.encoder, parts.states, options);
    try {
      const decoder = of?.parts.first === parts.first ? of.decoder : await openDecoder(parts, options);
      return new SpeechEngine(config, { model, options, parts, encoder, decoder });
    } catch (error) {
      await encoder.release();
      throw error;
    }
  }

  /** The engine for shorter inputs, loaded on first use. @throws OnnxLoraError `MODEL_UNSUPPORTED` */
  async hearing(sizes: ContextSizes | undefined): Promise<SpeechEngine> {
    if (!sizes) return this;
    const key = JSON.stringify(sizes);
    const { model, options } = this.#loaded;
    const open = async (): Promise<SpeechEngine> =>
      SpeechEngine.#open(model, this.config, options, servingParts(model, sizes), this.#loaded);
    const short = this.#short.get(key) ?? open();
    this.#short.set(key, short);
    return short;
  }

  /** Encodes a batch of features to `[rows, positions, hidden]`. */
  encode(features: Feeds, options: DecodingOptions = {}): Promise<Tensor> {
    return this.#loaded.encoder.encode(features, options);
  }

  /**
   * Writes a text for each row, independent of the other rows.
   * @param states from {@link SpeechEngine.encode}
   * @param prompts tokens before each text ({@link promptOf}), of any lengths
   * @throws OnnxLoraError `INPUT_INVALID` for a prompt that leaves no room, or a wrong number of adapters; others as
   *   `session.run`
   */
  async decode(
    states: Tensor,
    prompts: readonly (readonly number[])[],
    options: DecodeOptions = {},
  ): Promise<DecodedWindow[]> {
    const { adapter = null, temperature = 0, random } = options;
    requireEach(adapter, prompts.length, 'clips');
    if (temperature > 0 && !random) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        'Above temperature 0 tokens are drawn. Give a seeded generator (random).',
      );
    }
    const seed = temperature > 0 ? random!.index(2 ** 32) : 0;
    const found: DecodedWindow[] = [];
    for (const rows of byLength(prompts)) {
      const own = { ...options, adapter: adaptersOf(adapter, rows) };
      const texts = await this.#decodeAlike(selectRows(states, rows), rows.map((row) => prompts[row]!), own, seed); // prettier-ignore
      rows.forEach((row, i) => (found[row] = texts[i]!));
    }
    return found;
  }

  /** Detects the language of each row. @throws OnnxLoraError `INPUT_INVALID` for a model of one language */
  async languages(states: Tensor, { adapter = null, signal }: DecodingOptions = {}): Promise<HeardLanguage[]> {
    const { languages, start } = this.config;
    if (languages.size === 0) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `"${this.#loaded.model.name}" knows one language only, so it cannot detect languages.`,
      );
    }
    const codes = [...languages.keys()];
    const tokens = [...languages.values()];
    const decoding = this.#loaded.decoder.begin(states, { adapter, signal });
    try {
      const logits = await decoding.next(Array.from({ length: states.dims[0]! }, () => [start]));
      return logits.map(([row]) => {
        const scores = Float32Array.from(tokens, (token) => row![token] ?? -Infinity);
        const at = scores.indexOf(Math.max(...scores));
        return { language: codes[at]!, probability: Math.exp(scores[at]! - logSumExp(scores)) };
      });
    } finally {
      decoding.release();
    }
  }

  async release(): Promise<void> {
    for (const each of this.#short.values()) {
      const short = await each.catch(() => undefined);
      if (!short) continue;
      await short.#loaded.encoder.release();
      if (short.#loaded.decoder !== this.#loaded.decoder) await short.#loaded.decoder.release();
    }
    await Promise.all([this.#loaded.encoder.release(), this.#loaded.decoder.release()]);
  }

  /** Decodes prompts of equal length. */
  async #decodeAlike(
    states: Tensor,
    prompts: readonly (readonly number[])[],
    options: DecodeOptions,
    seed: number,
  ): Promise<DecodedWindow[]> {
    const { adapter = null, timestamps = false, beams = this.config.beams, temperature = 0, signal } = options;
    const { maxLength, maxPositions } = this.config;
    const room = Math.min(maxLength, maxPositions - prompts[0]!.length);
    const maxTokens = Math.min(options.maxTokens ?? room, room);
    if (!(maxTokens >= 1)) {
      throw new OnnxLoraError(
        'INPUT_INVALID',
        `The prompt has ${prompts[0]!.length} tokens, and "${this.#loaded.model.name}" writes ${maxPositions} in all, so none is left for the text. Ask for at least one token, behind a shorter prompt.`,
      );
    }
    if (!Number.isInteger(beams) || beams < 1 || beams > MOST_BEAMS)
      throw new OnnxLoraError('INPUT_INVALID', `beams is ${beams}. Give a whole number from 1 to ${MOST_BEAMS}.`);
    const decoding = this.#loaded.decoder.begin(states, { adapter, signal });
    const { scores = false } = options;
    try {
      const { logits, noSpeech } = await firstLogits(decoding, prompts, this.config, scores);
      const request = { ...this.config, decoding, logits, prompts, rules: rulesOf(this.config, timestamps), maxTokens, scores }; // prettier-ignore
      const texts =
        beams > 1 && temperature === 0
          ? (await beamSearch({ ...request, beams })).map(([best]) => best!)
          : await stepwiseSearch({ ...request, temperature, seed });
      return texts.map((text, i) => (noSpeech[i] === undefined ? text : { ...text, noSpeechProb: noSpeech[i] }));
    } finally {
      decoding.release();
    }
  }
}

/** Groups rows by the length of their prompts. */
function byLength(prompts: readonly (readonly number[])[]): number[][] {
  const groups = new Map<number, number[]>();
  prompts.forEach(({ length }, row) => groups.set(length, [...(groups.get(length) ?? []), row]));
  return [...groups.values()];
}
