/** @file A bag-of-words baseline: tf-idf and logistic regression. */

import type { BaselineAnswers } from '@onnx-lora/sequences';
import { Random } from '@onnx-lora/sdk/data';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import { fitLinear, type LinearKind, linearAnswers, type SparseRows } from './linearModel.ts';

/** Maximum numbers of terms, the most frequent first, and of weights; many outputs leave fewer terms. */
const MOST = 50_000;
const MOST_WEIGHTS = 1e6;
/** Inverse penalties to try, and the fraction of the training texts that compares them. */
const candidates = [1, 10, 100] as const;
const COMPARED = 0.2;

/** Words of two letters or more, and bigrams. */
function termsOf(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? [];
  return [...words, ...words.slice(1).map((word, i) => `${words[i]!} ${word}`)];
}

/**
 * Tf-idf rows of length 1 over words and bigrams: (1 + ln n) · (1 + ln((1 + texts) / (1 + texts with it))). Drops terms
 * that occur in one training text only.
 * @param known training texts, which weight the terms
 * @see scikit-learn, TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
 */
export function tfidf(known: readonly string[], most: number = MOST): (texts: readonly string[]) => SparseRows {
  const counts = new Map<string, number>();
  for (const text of known) for (const term of new Set(termsOf(text))) counts.set(term, (counts.get(term) ?? 0) + 1);
  const kept = [...counts].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, most); // prettier-ignore
  const columns = new Map(kept.map(([term], i) => [term, i]));
  const weights = kept.map(([, count]) => 1 + Math.log((1 + known.length) / (1 + count)));
  return (texts) => ({
    columns: kept.length,
    rows: texts.map((text) => {
      const found = new Map<number, number>();
      for (const term of termsOf(text)) {
        const column = columns.get(term);
        if (column !== undefined) found.set(column, (found.get(column) ?? 0) + 1);
      }
      const values = Float64Array.from(found, ([column, count]) => (1 + Math.log(count)) * weights[column]!);
      const norm = Math.hypot(...values) || 1;
      return { at: Int32Array.from(found.keys()), values: values.map((value) => value / norm) };
    }),
  });
}

/**
 * Predictions of logistic regression on tf-idf for held-out texts, or of ridge for numbers. A fifth of the training
 * texts chooses the penalty.
 * @param targets `[texts, outputs]`: numbers, or 1 for the right class or label and 0 for the others
 */
export function bagOfWords(
  { train, validation }: { readonly train: readonly string[]; readonly validation: readonly string[] },
  targets: Matrix,
  kind: LinearKind,
  seed: number,
): BaselineAnswers {
  const order = new Random(seed).permutation(train.length);
  const cut = Math.max(1, Math.floor(COMPARED * train.length));
  const [held, rest] = [order.slice(0, cut), order.slice(cut)];
  const answersOf = (own: readonly number[] | undefined, texts: readonly string[], c: number): Matrix => {
    const known = own ? own.map((i) => train[i]!) : train;
    const features = tfidf(known, Math.min(MOST, Math.floor(MOST_WEIGHTS / targets.columns)));
    const fitted = fitLinear(features(known), own ? rowsAt(targets, own) : targets, kind, c);
    return linearAnswers(fitted, features(texts));
  };
  const errors = candidates.map((c) => {
    const found = answersOf(rest, held.map((i) => train[i]!), c); // prettier-ignore
    const truths = rowsAt(targets, held);
    return found.data.reduce((sum, answer, i) => sum + (answer - truths.data[i]!) ** 2, 0);
  });
  const c = candidates[errors.indexOf(Math.min(...errors))]!;
  return {
    method: kind === 'numbers' ? 'ridge on words (tf-idf)' : 'logistic regression on words (tf-idf)',
    answers: answersOf(undefined, validation, c),
    threshold: 0.5,
    chosen: `C = ${c}`,
  };
}

function rowsAt({ columns, data }: Matrix, rows: readonly number[]): Matrix {
  return matrix(rows.length, columns, rows.flatMap((row) => [...data.subarray(row * columns, (row + 1) * columns)])); // prettier-ignore
}
