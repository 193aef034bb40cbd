/** @file Transcribes windows: from samples to tokens. */

import { type AdapterChoice, OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { Random } from '@onnx-lora/sdk/data';
import { adapterOf, adaptersOf, requireEach, selectRows } from '@onnx-lora/sequences';
import type { AudioReader } from '../audio/audio.ts';
import type { FeatureExtractor } from '../features/featureExtractor.ts';
import type { Aligner } from './alignment/aligner.ts';
import type { SelectedContext, ContextSizes, ContextSelector } from '../features/audioContext.ts';
import { type CheckedWindow, decodeWithFallback, type FallbackOptions, usualFallback } from './longform/fallback.ts';
import { knownLanguage, promptOf } from './generationConfig.ts';
import type { ClipOptions, TranscribeOptions } from './transcriber.ts';
import type { SpeechEngine } from './speechEngine.ts';
import type { SpeechTokenizer } from '../text/subwordTokenizer.ts';

export interface TranscriberParts {
  readonly engine: SpeechEngine;
  readonly tokenizer: SpeechTokenizer;
  readonly extractor: FeatureExtractor;
  readonly hearing: ContextSelector;
  readonly reader: AudioReader;
  readonly aligner: Aligner;
}

/** Half a step of 16-bit samples. */
const NOTHING = 2 ** -16;

/** True if all samples round to 0 at 16 bits. A model may hallucinate on these. */
export function isSilent(samples: Float32Array): boolean {
  return samples.every((sample) => Math.abs(sample) < NOTHING);
}

/** Decisions per window, not per request. */
export interface WindowRequest {
  readonly timestamps: boolean;
  readonly previous?: readonly number[];
  /** Absent if first texts are kept. */
  readonly fallback?: FallbackOptions | undefined;
  readonly random: Random;
}

/** A text with its encoder states. */
export interface WrittenWindow extends CheckedWindow {
  readonly states: Tensor;
  readonly sizes?: ContextSizes;
  readonly prompt: readonly number[];
  /** Language code, for multilingual models. */
  readonly language?: string;
}

/**
 * Transcribes clips as a batch. @throws OnnxLoraError `INPUT_INVALID`, before any work, for an unknown language or task
 */
export async function transcribeWindows(
  parts: Omit<TranscriberParts, 'reader' | 'aligner'>,
  clips: readonly Float32Array[],
  options: ClipOptions,
  request: WindowRequest,
): Promise<WrittenWindow[]> {
  requireEach(options.adapter ?? null, clips.length, 'clips');
  const texts: WrittenWindow[] = [];
  for (const { rows, heard } of groupedByContext(parts, clips, options.adapter ?? null)) {
    const own = rows.map((row) => clips[row]!);
    const adapter = adaptersOf(options.adapter ?? null, rows);
    const written = await writeBatch(parts, own, heard, { ...options, adapter }, request);
    rows.forEach((row, i) => (texts[row] = written[i]!));
  }
  return texts;
}

/** Groups clips by context. A model of any length groups equal lengths, since it would hear a batch's padding. */
export function groupedByContext(
  { extractor, hearing }: Pick<TranscriberParts, 'extractor' | 'hearing'>,
  clips: readonly Float32Array[],
  choice: AdapterChoice,
): { readonly rows: number[]; readonly heard: SelectedContext }[] {
  const groups = new Map<unknown, { readonly rows: number[]; readonly heard: SelectedContext }>();
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
  { extractor, sizes }: SelectedContext,
  { language: asked, task, beams, maxTokens, adapter = null, signal }: ClipOptions,
  { timestamps, previous = [], fallback, random }: WindowRequest,
): Promise<WrittenWindow[]> {
  const { config } = parts.engine;
  const promptIn = (language?: string): number[] =>
    promptOf(config, { timestamps, previous, ...(language === undefined ? {} : { language }), ...(task ? { task } : {}) }); // prettier-ignore
  const language = asked === undefined ? undefined : knownLanguage(config, asked);
  const [anyLanguage] = config.languages.keys();
  // Fails early on an unsupported prompt.
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

/** Token ids of the requested prompt. @throws OnnxLoraError `INPUT_INVALID` for a model without prompts */
export function promptTokens(
  { engine, tokenizer }: Pick<TranscriberParts, 'engine' | 'tokenizer'>,
  { prompt = '' }: Pick<TranscribeOptions, 'prompt'>,
): readonly number[] {
  if (prompt.trim() === '') return [];
  if (engine.config.previousStart !== undefined) return tokenizer.encode(` ${prompt.trim()}`);
  throw new OnnxLoraError('INPUT_INVALID', 'The model has no token for what was said before, so it takes no prompt.');
}

/** The fallback options. @throws OnnxLoraError `INPUT_INVALID` for invalid temperatures */
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
