/** @file Logit rules, like transformers' logits processors. */

/**
 * Changes logits or log-probabilities `[vocabulary]` in place; forbidden tokens become −∞.
 * @param written tokens after the prompt
 */
export type LogitRule = (logits: Float32Array, written: readonly number[], prompt: readonly number[]) => void;

/** Options of {@link logitRules}. */
export interface LogitRuleOptions {
  /** Above 1, repeated tokens become less likely; 1 turns it off. */
  readonly repetitionPenalty: number;
  /** Length of token n-grams that may not repeat; 0 turns it off. */
  readonly noRepeatNgram: number;
  /** Token sequences that are not generated. */
  readonly badWords?: readonly (readonly number[])[];
  /** End-of-sequence tokens. */
  readonly ends?: readonly number[];
  /** Least number of tokens before the end. */
  readonly minTokens?: number;
  /** Tokens that are never generated. */
  readonly suppress: readonly number[];
  /** Tokens that are not generated first. */
  readonly beginSuppress: readonly number[];
}

/**
 * The enabled rules, in the order of transformers' `generate`.
 * @see transformers, generation/utils.py, _get_logits_processor
 */
export function logitRules(options: LogitRuleOptions): LogitRule[] {
  const {
    repetitionPenalty,
    noRepeatNgram,
    badWords = [],
    ends = [],
    minTokens = 0,
    suppress,
    beginSuppress,
  } = options;
  const [never, first] = [suppressed(suppress), suppressed(beginSuppress)];
  const noEnd = suppressed(ends);
  return [
    ...(repetitionPenalty === 1 ? [] : [repetitionRule(repetitionPenalty)]),
    ...(noRepeatNgram === 0 ? [] : [ngramRule(noRepeatNgram)]),
    // A bad word that is only an end token is ignored, as in transformers.
    ...badWords.filter((word) => word.length > 1 || !ends.includes(word[0]!)).map(badWordRule),
    ...(minTokens === 0 ? [] : [onlyWhere((written) => written < minTokens, noEnd)]),
    never,
    onlyWhere((written) => written === 0, first),
  ];
}

function onlyWhere(isHere: (written: number) => boolean, rule: LogitRule): LogitRule {
  return (logits, written, prompt) => {
    if (isHere(written.length)) rule(logits, written, prompt);
  };
}

function suppressed(tokens: readonly number[]): LogitRule {
  return (logits) => {
    for (const token of tokens) if (token < logits.length) logits[token] = -Infinity;
  };
}

/** Divides positive scores of repeated tokens by the penalty, multiplies negative ones (arXiv:1909.05858, 4.1). */
function repetitionRule(penalty: number): LogitRule {
  return (logits, written, prompt) => {
    for (const token of new Set([...prompt, ...written])) {
      const score = logits[token]!;
      logits[token] = score < 0 ? score * penalty : score / penalty;
    }
  };
}

/** Forbids repeated n-grams. */
function ngramRule(size: number): LogitRule {
  return (logits, written, prompt) => {
    const ids = [...prompt, ...written];
    const last = ids.slice(ids.length - size + 1);
    for (let i = 0; i + size <= ids.length; i++) {
      if (last.every((token, k) => ids[i + k] === token)) logits[ids[i + size - 1]!] = -Infinity;
    }
  };
}

/** Forbids the last token of a bad word after its other tokens. */
function badWordRule(word: readonly number[]): LogitRule {
  const [before, last] = [word.slice(0, -1), word.at(-1)!];
  return (logits, written, prompt) => {
    if (last >= logits.length) return;
    const ids = before.length > written.length ? [...prompt, ...written] : written;
    const start = ids.length - before.length;
    if (start >= 0 && before.every((token, i) => ids[start + i] === token)) logits[last] = -Infinity;
  };
}
