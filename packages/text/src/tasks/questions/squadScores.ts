/** @file How well answers about texts are: exact matches, and the words that they share with what is right, as SQuAD counts. */

/** What stands between words. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;
const ARTICLES = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** An answer as it is compared: in small letters, without punctuation, articles and more than one blank. */
function normalAnswer(text: string): string {
  const plain = text.toLowerCase().replaceAll(PUNCTUATION, '').replaceAll(ARTICLES, ' ');
  return plain.split(/\s+/).filter(Boolean).join(' ');
}

/** How one answer compares with one that is right. */
export interface AnswerMatch {
  /** 1 where they are the same. */
  readonly exact: number;
  /** Harmonic mean of the shares of words that both have. */
  readonly f1: number;
}

/**
 * An answer against the one of several that it fits best; against no answer where there is none.
 *
 * @see the evaluation scripts of SQuAD v1.1 and v2.0, https://rajpurkar.github.io/SQuAD-explorer/
 */
export function matchOf(answer: string, right: readonly string[]): AnswerMatch {
  const known = right.filter((each) => normalAnswer(each) !== '');
  const all = (known.length > 0 ? known : ['']).map((each) => oneMatch(answer, each));
  return { exact: Math.max(...all.map(({ exact }) => exact)), f1: Math.max(...all.map(({ f1 }) => f1)) };
}

function oneMatch(answer: string, right: string): AnswerMatch {
  const [own, other] = [normalAnswer(answer), normalAnswer(right)];
  const exact = Number(own === other);
  if (own === '' || other === '') return { exact, f1: exact };
  const [words, wanted] = [own.split(' '), other.split(' ')];
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let same = 0;
  for (const word of words) {
    const count = left.get(word) ?? 0;
    if (count > 0) same++;
    left.set(word, count - 1);
  }
  return { exact, f1: (2 * same) / (words.length + wanted.length) };
}
