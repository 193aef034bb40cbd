/** @file What a model may write next: rules that change its logits, as transformers' processors do. */

import type { GenerationConfig } from './generationConfig.ts';
import type { LogitRule } from './logitRule.ts';
import { timestampRules } from './timestampRules.ts';

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
