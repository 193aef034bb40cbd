/** @file The metric that models are compared by, its direction and its range. */

/** The metric that evaluations are compared by. */
export interface MetricChoice {
  /** Name of the metric in evaluations. */
  readonly name: string;
  /** By default derived from the name: losses, errors and perplexities are better lower, all others higher. */
  readonly better?: 'higher' | 'lower';
}

/** Words in names of metrics that are better lower. Whole words only: `loss`, `val_loss`, `wordErrorRate`, `rmse`. */
const lowerWords = new Set(
  'loss error err wer cer eer mse rmse mae mape nll perplexity ppl distance divergence deviation fpr fnr bits'.split(
    ' ',
  ),
);

/** Whether a metric is better lower: as the choice says, or by its name. */
export function isLowerBetter(name: string, choice?: MetricChoice): boolean {
  if (choice?.better !== undefined) return choice.better === 'lower';
  return wordsOf(name).some((word) => lowerWords.has(word));
}

/** Bounds of a metric. */
export type MetricRange = readonly [least: number, most: number];

/** Words in names of metrics from −1 to 1, and from 0 to 1. */
const correlations = new Set('spearman pearson kendall mcc correlation'.split(' '));
const shares = new Set(
  'accuracy precision recall f1 auroc auprc auc map map50 map75 ap iou dice ndcg mrr match top5 top1 coverage rouge'.split(
    ' ',
  ),
);

/** Bounds by name: losses and errors are at least 0, shares between 0 and 1; an unknown name is unbounded. */
export function rangeOf(name: string): MetricRange {
  const words = wordsOf(name);
  if (words.some((word) => correlations.has(word))) return [-1, 1];
  if (words.some((word) => shares.has(word))) return [0, 1];
  return [words.some((word) => lowerWords.has(word)) ? 0 : -Infinity, words.includes('r2') ? 1 : Infinity];
}

/** `balancedAccuracy`: balanced, accuracy; `macroF1`: macro, f1. */
function wordsOf(name: string): string[] {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/);
}
