/** @file Decoding rules of Whisper: the first pass with its no-speech probability, and which timestamps may follow. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import { type Decoding, type WrittenText, type LogitRule, logitRules } from '@onnx-lora/sequences';
import type { GenerationConfig } from './generationConfig.ts';

export interface DecodedWindow extends WrittenText {
  /** Probability that nothing is said; set if scores are asked for and the model has a token for it. */
  readonly noSpeechProb?: number;
}

/** Logits `[rows][vocabulary]` after the prompts, and the no-speech probabilities. */
interface FirstLogits {
  readonly logits: Float32Array[];
  readonly noSpeech: readonly (number | undefined)[];
}

/** Runs the prompt; reads the no-speech probability at the start token. @see openai-whisper, DecodingTask._main_loop */
export async function firstLogits(
  decoding: Decoding,
  prompts: readonly (readonly number[])[],
  config: GenerationConfig,
  scores: boolean,
): Promise<FirstLogits> {
  const last = prompts[0]!.length - 1;
  const token = config.noTimestamps === undefined ? undefined : config.noTimestamps - 1;
  if (!scores || token === undefined) {
    const logits = await decoding.next(prompts, [last]);
    return { logits: logits.map(([row]) => row!), noSpeech: prompts.map(() => undefined) };
  }
  // The prompts, and so their previous text, are equally long in all rows.
  const found = await decoding.next(prompts, [prompts[0]!.indexOf(config.start), last]);
  return {
    noSpeech: found.map(([start]) => Math.exp(start![token]! - logSumExp(start!))),
    logits: found.map(([, row]) => row!),
  };
}

/**
 * Times come in pairs except before the end, and never go back. The first token is a time up to `maxInitialTimestamp`.
 * A time wins where times together are more probable than any word.
 * @see openai-whisper, whisper/decoding.py, ApplyTimestampRules; transformers, WhisperTimeStampLogitsProcessor
 */
export function timestampRules(
  config: Pick<GenerationConfig, 'ends' | 'maxInitialTimestamp'> & { readonly noTimestamps: number },
): LogitRule {
  const { noTimestamps, maxInitialTimestamp = Infinity } = config;
  const [end] = config.ends as [number];
  const first = noTimestamps + 1;
  return (logits, written) => {
    logits[noTimestamps] = -Infinity;
    const isTime = (token: number | undefined): boolean => token !== undefined && token >= first;
    const wasTime = isTime(written.at(-1));
    const beforeWasTime = written.length < 2 || isTime(written.at(-2));
    if (wasTime) {
      if (beforeWasTime) logits.fill(-Infinity, first);
      else logits.fill(-Infinity, 0, end);
    }
    const last = written.findLast(isTime);
    // An open segment may end where it begins; a new one begins later.
    if (last !== undefined) logits.fill(-Infinity, first, wasTime && !beforeWasTime ? last : last + 1);
    if (written.length === 0) {
      logits.fill(-Infinity, 0, first);
      logits.fill(-Infinity, Math.min(first + maxInitialTimestamp + 1, logits.length));
    }
    let word = -Infinity;
    for (let token = 0; token < first; token++) if (logits[token]! > word) word = logits[token]!;
    if (logSumExp(logits.subarray(first)) > word) logits.fill(-Infinity, 0, first);
  };
}

/** The logit rules of a model, in transformers' order. */
export function rulesOf(config: GenerationConfig, timestamps: boolean): LogitRule[] {
  const { noTimestamps } = config;
  const times = timestamps && noTimestamps !== undefined ? [timestampRules({ ...config, noTimestamps })] : [];
  return [...logitRules(config), ...times];
}
