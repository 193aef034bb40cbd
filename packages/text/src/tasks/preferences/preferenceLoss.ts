/** @file Preference losses DPO, IPO, ORPO and KTO as operators of the training graph. */

import { type GraphBuilder, type Value, sequenceLogProbability } from '@onnx-lora/sdk/tasks';

/** What is learned of preferences, by whose method: see `preferences`. */
export type PreferenceLoss = 'dpo' | 'ipo' | 'orpo' | 'kto';

/** How preferences are weighed. */
export interface PreferenceLossOptions {
  /** `dpo` by default. */
  readonly loss?: PreferenceLoss | undefined;
  /**
   * How much a difference to the reference counts; 0.1 by default. The smaller, the farther the model may go. Of ORPO it is the
   * weight of the odds ratio.
   */
  readonly beta?: number | undefined;
  /** Of DPO: the share of preferences that are taken to be the wrong way round, from 0 (the default) to below 0.5. */
  readonly labelSmoothing?: number | undefined;
  /** Of KTO: how much good answers count; 1 by default. */
  readonly desirableWeight?: number | undefined;
  /** Of KTO: how much bad answers count; 1 by default. */
  readonly undesirableWeight?: number | undefined;
}

/** What a loss is made of. */
export interface ComparedRows {
  /** Scores `[2 · examples, tokens, size]`. */
  readonly logits: Value;
  /** The next tokens `[2 · examples, tokens]`, −100 where nothing is learned. */
  readonly labels: Value;
  /** How many are learned of each row, float32 `[2 · examples]`. */
  readonly tokens: Value;
  /** The reference's log-probability of each row, float32 `[2 · examples]`. Unused by ORPO. */
  readonly reference: Value;
  /** Of KTO: 1 for good answers and 0 for bad ones, float32 `[examples]`. */
  readonly isGood: Value;
}

/**
 * The mean loss of examples of two rows: the chosen answer and the rejected one, or of KTO the answer and an answer to another
 * prompt, by which it estimates how far the model is from the reference.
 *
 * With r = log π(y|x) − log π_ref(y|x):
 *
 * - DPO: −(1 − ε) log σ(β(r_w − r_l)) − ε log σ(β(r_l − r_w)) (Rafailov et al. 2023, arXiv 2305.18290; ε as in Mitchell 2023)
 * - IPO: (r_w / |y_w| − r_l / |y_l| − 1 / 2β)² (Azar et al. 2023, arXiv 2310.12036; by tokens as its authors compute it)
 * - ORPO: −mean log π(y_w) − β log σ(log odds(y_w) − log odds(y_l)), of mean log-probabilities by token (Hong et al. 2024, arXiv
 *   2403.07691)
 * - KTO: w (1 − σ(±β(r − z))), z = max(0, mean r of the other prompts' answers), which is a constant (Ethayarajh et al. 2024, arXiv
 *   2402.01306)
 */
export function preferenceLoss(
  g: GraphBuilder,
  { logits, labels, tokens, reference, isGood }: ComparedRows,
  { loss = 'dpo', beta = 0.1, labelSmoothing = 0, desirableWeight = 1, undesirableWeight = 1 }: PreferenceLossOptions,
): Value {
  const said = sequenceLogProbability(g, logits, labels);
  // The first rows of all examples, and the second ones.
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

/** `log(1 − exp(x))` of x below 0, with all digits also where x is almost 0: `1 − eˣ = tanh(−x / 2) · (1 + eˣ)`. */
function log1mexp(g: GraphBuilder, x: Value): Value {
  const least = g.scalar(1e-12, x.type);
  return g.Add(g.Log(g.Max(g.Tanh(g.Mul(x, -0.5)), least)), g.Softplus(x));
}
