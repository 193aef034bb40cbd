/** @file From sound of at most a window to the tokens of its text. */

import { type AdapterChoice, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import { adapterOf, adaptersOf, requireEach, selectRows } from '@onnx-lora/sequences';
import type { AudioReader } from '../audio/audio.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { Aligner } from './alignment/aligner.ts';
import type { Heard, HeardSizes, Hearing } from './hearing.ts';
import { type CheckedWindow, decodeWithFallback, type FallbackOptions, usualFallback } from './longform/fallback.ts';
import { knownLanguage, promptOf } from './prompt.ts';
import type { ClipOptions, TranscribeOptions } from './transcriber.ts';
import type { SpeechEngine } from './speechEngine.ts';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

/** What a transcriber is made of. */
export interface TranscriberParts {
  readonly engine: SpeechEngine;
  readonly tokenizer: SpeechTokenizer;
  readonly extractor: FeatureExtractor;
  /** Says how much of a window is heard of a clip. */
  readonly hearing: Hearing;
  readonly reader: AudioReader;
  /** Says when words are said. */
  readonly aligner: Aligner;
}

/** Half a step of 16-bit samples. */
const NOTHING = 2 ** -16;

/** Whether no sample is louder than what 16 bits round to 0. A model that hears this may well write something. */
export function isSilent(samples: Float32Array): boolean {
  return samples.every((sample) => Math.abs(sample) < NOTHING);
}

/** What is decided for each window, and not by who asks. */
export interface WindowRequest {
  /** Whether times are written. */
  readonly timestamps: boolean;
  /** Ids of what was said before. */
  readonly previous?: readonly number[];
  /** Absent where texts are taken as they are first written. */
  readonly fallback?: FallbackOptions | undefined;
  readonly random: Random;
}

/** A text, and what it was written from. */
export interface WrittenWindow extends CheckedWindow {
  /** Of the encoder, `[1, positions, hidden]`. */
  readonly states: Tensor;
  /** Of the encoder's inputs, where less than the window was heard. */
  readonly sizes?: HeardSizes;
  readonly prompt: readonly number[];
  /** Code of what is spoken, for models that know several. */
  readonly language?: string;
}

/**
 * Texts of clips, as one batch.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for a language or task that the model does not know, before the work; others as
 *   `session.run`
 */
export async function writeWindows(
  parts: Omit<TranscriberParts, 'reader' | 'aligner'>,
  clips: readonly Float32Array[],
  options: ClipOptions,
  request: WindowRequest,
): Promise<WrittenWindow[]> {
  requireEach(options.adapter ?? null, clips.length, 'clips');
  const texts: WrittenWindow[] = [];
  for (const { rows, heard } of heardAlike(parts, clips, options.adapter ?? null)) {
    const own = rows.map((row) => clips[row]!);
    const adapter = adaptersOf(options.adapter ?? null, rows);
    const written = await writeBatch(parts, own, heard, { ...options, adapter }, request);
    rows.forEach((row, i) => (texts[row] = written[i]!));
  }
  return texts;
}

/** Clips of which equally much is heard, together. What hears clips of any length would hear the padding of a batch too. */
export function heardAlike(
  { extractor, hearing }: Pick<TranscriberParts, 'extractor' | 'hearing'>,
  clips: readonly Float32Array[],
  choice: AdapterChoice,
): { readonly rows: number[]; readonly heard: Heard }[] {
  const groups = new Map<unknown, { readonly rows: number[]; readonly heard: Heard }>();
  for (const [row, { length }] of clips.entries()) {
    const heard = hearing.of(adapterOf(choice, row), length);
    const key = extractor.maxSamples === undefined ? row : JSON.stringify(heard.sizes);
    const group = groups.get(key) ?? { rows: [], heard };
    groups.set(key, group);
    group.rows.push(row);
  }
  return [...groups.values()];
}

async function writeBatch(
  parts: Omit<TranscriberParts, 'reader' | 'aligner'>,
  clips: readonly Float32Array[],
  { extractor, sizes }: Heard,
  { language: asked, task, beams, maxTokens, adapter = null, signal }: ClipOptions,
  { timestamps, previous = [], fallback, random }: WindowRequest,
): Promise<WrittenWindow[]> {
  const { config } = parts.engine;
  const promptIn = (language?: string): number[] =>
    promptOf(config, { timestamps, previous, ...(language === undefined ? {} : { language }), ...(task ? { task } : {}) }); // prettier-ignore
  const language = asked === undefined ? undefined : knownLanguage(config, asked);
  const [anyLanguage] = config.languages.keys();
  // What cannot be asked for is found out before the work.
  promptIn(language ?? anyLanguage);
  const engine = await parts.engine.hearing(sizes);
  const states = await engine.encode(extractor.batch(clips.map((clip) => extractor.extract(clip))), {
    adapter,
    signal,
  });
  const heard =
    anyLanguage === undefined || language !== undefined
      ? clips.map(() => language)
      : (await engine.languages(states, { adapter, signal })).map((each) => each.language);
  const prompts = heard.map((each) => promptIn(each));
  const options = {
    adapter,
    signal,
    timestamps,
    random,
    ...(beams === undefined ? {} : { beams }),
    ...(maxTokens === undefined ? {} : { maxTokens }),
  };
  const texts = fallback
    ? await decodeWithFallback({ ...parts, engine }, states, prompts, options, fallback)
    : (await engine.decode(states, prompts, options)).map((text) => ({ ...text, temperature: 0, isSilence: false }));
  return texts.map((text, row) => ({
    ...text,
    states: selectRows(states, [row]),
    prompt: prompts[row]!,
    ...(sizes ? { sizes } : {}),
    ...(anyLanguage === undefined || heard[row] === undefined ? {} : { language: heard[row] }),
  }));
}

/**
 * The prompt that is asked for, as ids of what was said before.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for a model that takes none
 */
export function promptTokens(
  { engine, tokenizer }: Pick<TranscriberParts, 'engine' | 'tokenizer'>,
  { prompt = '' }: Pick<TranscribeOptions, 'prompt'>,
): readonly number[] {
  if (prompt.trim() === '') return [];
  if (engine.config.previousStart !== undefined) return tokenizer.encode(` ${prompt.trim()}`);
  throw new OnnxLoraError('INPUT_INVALID', 'The model has no token for what was said before, so it takes no prompt.');
}

/**
 * When texts are written again.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for temperatures that cannot be
 */
export function fallbackOf(options: Omit<TranscribeOptions, 'adapter'>): FallbackOptions {
  if (options.temperatures?.length === 0 || options.temperatures?.some((each) => !(each >= 0 && each < Infinity))) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Temperatures must be one or more numbers from 0, not [${options.temperatures.join(', ')}]. 0 takes the most probable tokens.`,
    );
  }
  const { temperatures, compressionRatioThreshold, logprobThreshold, noSpeechThreshold } = usualFallback;
  return {
    temperatures: options.temperatures ?? temperatures,
    compressionRatioThreshold: options.compressionRatioThreshold ?? compressionRatioThreshold,
    logprobThreshold: options.logprobThreshold ?? logprobThreshold,
    noSpeechThreshold: options.noSpeechThreshold ?? noSpeechThreshold,
  };
}
