/** @file Preference losses DPO, IPO, ORPO and KTO as operators of the training graph. */

import { type GraphBuilder, type Value, sequenceLogProbability } from '@onnx-lora/sdk/tasks';

/** The preference loss, see {@link PreferenceLossOptions}: `dpo`, `ipo`, `orpo` or `kto`. */
export type PreferenceLoss = 'dpo' | 'ipo' | 'orpo' | 'kto';

/** Options of preference losses. */
export interface PreferenceLossOptions {
  /** `dpo` by default. */
  readonly loss?: PreferenceLoss | undefined;
  /** Strength of the regularisation toward the reference; 0.1 by default. With ORPO, the weight of the odds ratio. */
  readonly beta?: number | undefined;
  /** DPO: the assumed fraction of preferences with swapped answers, from 0 (the default) to below 0.5. */
  readonly labelSmoothing?: number | undefined;
  /** KTO: weight of good answers; 1 by default. */
  readonly desirableWeight?: number | undefined;
  /** KTO: weight of bad answers; 1 by default. */
  readonly undesirableWeight?: number | undefined;
}

/** Values that a loss is computed from. */
export interface ComparedRows {
  /** Logits `[2 · examples, tokens, size]`. */
  readonly logits: Value;
  /** The next tokens `[2 · examples, tokens]`, −100 where none is learned. */
  readonly labels: Value;
  /** Number of learned tokens per row, float32 `[2 · examples]`. */
  readonly tokens: Value;
  /** The reference's log-probability per row, float32 `[2 · examples]`. Unused by ORPO. */
  readonly reference: Value;
  /** KTO: 1 for good answers and 0 for bad ones, float32 `[examples]`. */
  readonly isGood: Value;
}

/**
 * Mean loss of examples of two rows: the chosen and the rejected answer; for KTO an answer to its own prompt and one to
 * another prompt, which estimates the divergence from the reference.
 *
 * With r = log π(y|x) − log π_ref(y|x):
 *
 * - DPO: −(1 − ε) log σ(β(r_w − r_l)) − ε log σ(β(r_l − r_w)) (Rafailov et al. 2023, arXiv 2305.18290; ε as in Mitchell
 *   2023)
 * - IPO: (r_w / |y_w| − r_l / |y_l| − 1 / 2β)² (Azar et al. 2023, arXiv 2310.12036; per token as in its authors' code)
 * - ORPO: −mean log π(y_w) − β log σ(log odds(y_w) − log odds(y_l)), with mean log-probabilities per token (Hong et al.
 *   2024, arXiv 2403.07691)
 * - KTO: w (1 − σ(±β(r − z))), z = max(0, mean r of the other prompts' answers), a constant (Ethayarajh et al. 2024,
 *   arXiv 2402.01306)
 */
export function preferenceLoss(
  g: GraphBuilder,
  { logits, labels, tokens, reference, isGood }: ComparedRows,
  { loss = 'dpo', beta = 0.1, labelSmoothing = 0, desirableWeight = 1, undesirableWeight = 1 }: PreferenceLossOptions,
): Value {
  const said = sequenceLogProbability(g, logits, labels);
  // The first and the second rows of the examples.
  const halves = (rows: Value): readonly [Value, Value] => {
    const pairs = g.Reshape(rows, [-1, 2]);
    const column = (at: number): Value => g.Reshape(g.Gather(pairs, g.ints([at]), 1), [-1]);
    return [column(0), column(1)];
  };
  const mean = (costs: Value): Value => g.ReduceMean(costs, [0], false);
  if (loss === 'orpo') {
    const [chosen, rejected] = halves(g.Div(said, tokens));
    const [sums, counts] = [halves(said)[0], halves(tokens)[0]].map((each) => g.ReduceSum(each, [0], false));
    const odds = g.Sub(g.Sub(chosen, rejected), g.Sub(log1mexp(g, chosen), log1mexp(g, rejected)));
    return g.Add(g.Neg(g.Div(sums!, counts!)), g.Mul(mean(g.Softplus(g.Neg(odds))), beta));
  }
  const [first, second] = halves(g.Sub(said, reference));
  if (loss === 'dpo') {
    const margin = g.Mul(g.Sub(first, second), beta);
    const costs = g.Softplus(g.Neg(margin));
    if (labelSmoothing === 0) return mean(costs);
    return mean(g.Add(g.Mul(costs, 1 - labelSmoothing), g.Mul(g.Softplus(margin), labelSmoothing)));
  }
  if (loss === 'ipo') {
    const [ofFirst, ofSecond] = halves(tokens);
    const rest = g.Sub(g.Sub(g.Div(first, ofFirst), g.Div(second, ofSecond)), 1 / (2 * beta));
    return mean(g.Mul(rest, rest));
  }
  const divergence = g.stopGradient(g.Relu(mean(second)));
  // 1 − σ(x) is σ(−x).
  const gain = g.Mul(g.Sub(first, divergence), beta);
  const ofGood = g.Mul(g.Mul(g.Sigmoid(g.Neg(gain)), isGood), desirableWeight);
  const ofBad = g.Mul(g.Mul(g.Sigmoid(gain), g.Sub(1, isGood)), undesirableWeight);
  return mean(g.Add(ofGood, ofBad));
}

/** `log(1 − exp(x))` for x < 0, precise also near 0: `1 − eˣ = tanh(−x / 2) · (1 + eˣ)`. */
function log1mexp(g: GraphBuilder, x: Value): Value {
  const least = g.scalar(1e-12, x.type);
  return g.Add(g.Log(g.Max(g.Tanh(g.Mul(x, -0.5)), least)), g.Softplus(x));
}
