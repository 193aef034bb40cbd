/** @file What a model that writes times may write next. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import { type LogitRule, logitRules } from '@onnx-lora/sequences';
import type { GenerationConfig } from './generationConfig.ts';

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
  const { noTimestamps } = config;
  const times = timestamps && noTimestamps !== undefined ? [timestampRules({ ...config, noTimestamps })] : [];
  return [...logitRules(config), ...times];
}
