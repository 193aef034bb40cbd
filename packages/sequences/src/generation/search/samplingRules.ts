/** @file Sampling rules, like transformers' logits warpers. */

import { logSumExp } from '@onnx-lora/sdk/tasks';
import type { LogitRule } from './logitRules.ts';
import { bestOf } from './scores.ts';

/** Options of {@link samplingRules}, by transformers' names. */
export interface SamplingOptions {
  /** Divides the logits: below 1, probable tokens become more probable. */
  readonly temperature?: number;
  /** Number of most probable tokens to draw from; 0 for all. */
  readonly topK?: number;
  /** Draws from the most probable tokens with this total probability. */
  readonly topP?: number;
  /** Least probability of a token, as a share of the best token's. */
  readonly minP?: number;
  /** Draws from the tokens with the surprisal nearest to the entropy, up to this total probability. */
  readonly typicalP?: number;
  /** Least probability of a token. */
  readonly epsilonCutoff?: number;
  /** Like `epsilonCutoff`, but lower where the model is unsure. */
  readonly etaCutoff?: number;
}

/**
 * The enabled rules, in the order of transformers' `generate`. One token always stays possible.
 * @see transformers, generation/utils.py, _get_logits_processor
 */
export function samplingRules(options: SamplingOptions): LogitRule[] {
  const { temperature = 1, topK = 0, topP = 1, minP, typicalP = 1, epsilonCutoff = 0, etaCutoff = 0 } = options;
  const isShare = (value: number): boolean => value > 0 && value < 1;
  return [
    ...(temperature === 1 ? [] : [heated(temperature)]),
    ...(topK === 0 ? [] : [foremost(topK)]),
    ...(topP < 1 ? [nucleus(topP)] : []),
    ...(minP === undefined ? [] : [near(minP)]),
    ...(typicalP < 1 ? [typical(typicalP)] : []),
    ...(isShare(epsilonCutoff) ? [probable(() => epsilonCutoff)] : []),
    ...(isShare(etaCutoff) ? [probable((entropy) => Math.min(etaCutoff, Math.sqrt(etaCutoff) * Math.exp(-entropy)))] : []), // prettier-ignore
  ];
}

function heated(temperature: number): LogitRule {
  return (logits) => {
    for (let i = 0; i < logits.length; i++) logits[i]! /= temperature;
  };
}

/** Top-k. */
function foremost(count: number): LogitRule {
  return (logits) => {
    const least = logits[bestOf(logits, count).at(-1)!]!;
    leave(logits, (score) => score >= least);
  };
}

/** @see Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), https://arxiv.org/abs/1904.09751 */
function nucleus(share: number): LogitRule {
  return (logits) => {
    const chances = probabilities(logits);
    const order = possible(chances).sort((a, b) => chances[a]! - chances[b]!);
    let sum = 0;
    // Drops the least probable tail, never the best.
    for (const place of order.slice(0, -1)) {
      sum += chances[place]!;
      if (sum > 1 - share) break;
      logits[place] = -Infinity;
    }
  };
}

/** @see Nguyen et al., "Turning Up the Heat: Min-p Sampling" (2024), https://arxiv.org/abs/2407.01082 */
function near(share: number): LogitRule {
  return (logits) => {
    const chances = probabilities(logits);
    const least = share * chances.reduce((most, each) => Math.max(most, each), 0);
    leave(logits, (_, i) => chances[i]! >= least);
  };
}

/** @see Meister et al., "Locally Typical Sampling" (2023), https://arxiv.org/abs/2202.00666 */
function typical(share: number): LogitRule {
  return (logits) => {
    const chances = probabilities(logits);
    const expected = entropyOf(chances);
    const distance = chances.map((chance) => Math.abs(-Math.log(chance) - expected));
    const order = possible(chances).sort((a, b) => distance[a]! - distance[b]!);
    let [sum, last] = [0, 0];
    while (last < order.length - 1 && (sum += chances[order[last]!]!) < share) last++;
    const farthest = distance[order[last]!]!;
    leave(logits, (_, i) => distance[i]! <= farthest);
  };
}

/** @see Hewitt et al., "Truncation Sampling as Language Model Desmoothing" (2022), https://arxiv.org/abs/2210.15191 */
function probable(least: (entropy: number) => number): LogitRule {
  return (logits) => {
    const chances = probabilities(logits);
    const bound = least(entropyOf(chances));
    const most = chances.reduce((greatest, each) => Math.max(greatest, each), 0);
    leave(logits, (_, i) => chances[i]! >= bound || chances[i] === most);
  };
}

function probabilities(logits: Float32Array): Float64Array {
  const total = logSumExp(logits);
  return Float64Array.from(logits, (score) => Math.exp(score - total));
}

function entropyOf(chances: Float64Array): number {
  return chances.reduce((sum, chance) => (chance > 0 ? sum - chance * Math.log(chance) : sum), 0);
}

function possible(chances: Float64Array): number[] {
  return Array.from(chances, (_, i) => i).filter((i) => chances[i]! > 0);
}

function leave(logits: Float32Array, stays: (score: number, place: number) => boolean): void {
  for (let i = 0; i < logits.length; i++) if (!stays(logits[i]!, i)) logits[i] = -Infinity;
}
