/** @file What a model may write next: rules that change its logits, as transformers' processors do. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { GenerationConfig } from '../generationConfig.ts';

/**
 * Changes logits, or log-probabilities, `[vocabulary]` in place: what must not come is −∞.
 *
 * @param written the tokens behind the prompt
 */
export type LogitRule = (logits: Float32Array, written: readonly number[], prompt: readonly number[]) => void;

/**
 * Times come in pairs, except right before the end; they never go back; the first token is a time, not later than
 * `maxInitialTimestamp`; and where a time is more probable than any word, it is a time.
 *
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
    // A segment that has begun may end where it begins; another begins later.
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

/**
 * The rules of a model, in transformers' order.
 *
 * @param timestamps whether times are to be written
 */
export function rulesOf(config: GenerationConfig, timestamps: boolean): LogitRule[] {
  const { repetitionPenalty, noRepeatNgram, beginSuppress, suppress, noTimestamps } = config;
  const begin = suppressed(beginSuppress);
  return [
    ...(repetitionPenalty === 1 ? [] : [repetitionRule(repetitionPenalty)]),
    ...(noRepeatNgram === 0 ? [] : [ngramRule(noRepeatNgram)]),
    (logits, written, prompt) => written.length === 0 && begin(logits, written, prompt),
    suppressed(suppress),
    ...(timestamps && noTimestamps !== undefined ? [timestampRules({ ...config, noTimestamps })] : []),
  ];
}

/** Tokens that are never written. */
function suppressed(tokens: readonly number[]): LogitRule {
  return (logits) => {
    for (const token of tokens) logits[token] = -Infinity;
  };
}

/**
 * Makes tokens that are there already less likely: a positive score is divided by the penalty, a negative one multiplied.
 *
 * @see https://arxiv.org/abs/1909.05858, section 4.1
 */
function repetitionRule(penalty: number): LogitRule {
  return (logits, written, prompt) => {
    for (const token of new Set([...prompt, ...written])) {
      const score = logits[token]!;
      logits[token] = score < 0 ? score * penalty : score / penalty;
    }
  };
}

/** Forbids what would complete a sequence of `size` tokens that is there already. */
function ngramRule(size: number): LogitRule {
  return (logits, written, prompt) => {
    const ids = [...prompt, ...written];
    const last = ids.slice(ids.length - size + 1);
    for (let i = 0; i + size <= ids.length; i++) {
      if (last.every((token, k) => ids[i + k] === token)) logits[ids[i + size - 1]!] = -Infinity;
    }
  };
}
