/** @file What a comparison of LoRA with its baselines says, honestly. */

/** LoRA beside the best baseline. */
export interface Against {
  /** Number of sequences that both were measured on. */
  readonly sequences: number;
  /** The metric by which they are compared. */
  readonly metric: string;
  /** The baseline, how far LoRA is above it, and the 95% interval of that; absent where the metric is not defined. */
  readonly against?: {
    /** The best baseline's name, as in `MethodResult.method`. */
    readonly method: string;
    /** LoRA's metric less the baseline's. */
    readonly difference: number;
    /** The 95% interval of the difference. */
    readonly interval: readonly [low: number, high: number];
  };
}

/** A sentence or two: whether LoRA is better than the best baseline by more than chance would have it. */
export function verdictOf({ sequences, metric, against }: Against): string {
  if (!against)
    return `On these ${sequences} sequences the ${metric} of LoRA or of all baselines is not defined, so that nothing can be compared.`;
  const { method, difference, interval } = against;
  const [low, high] = interval;
  const size = amount(Math.abs(difference));
  const way = size === '0.000' ? 'as high as' : `${size} ${difference < 0 ? 'below' : 'above'}`;
  const where = `${way} that of ${method}, the best baseline`;
  const range = `${amount(low)} to ${amount(high)}`;
  if (low > 0)
    return `LoRA helps here: its ${metric} is ${where}, and the 95% interval of the difference (${range}) is above 0.`;
  if (high < 0)
    return `LoRA does not help here: its ${metric} is ${where}, and the 95% interval of the difference (${range}) is below 0. Use ${method}, which also costs less, or train longer or with other targets.`;
  return `These ${sequences} sequences do not show that LoRA helps: its ${metric} is ${where}, and the 95% interval of the difference (${range}) holds 0. More held-out sequences would tell.`;
}

function amount(value: number): string {
  return value.toFixed(3).replace('-', '−');
}
