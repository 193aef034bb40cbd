/** @file Recommends in a few sentences what to use, also where plain LoRA wins or nothing differs. */

import { grouped, short, withInterval } from '../terminal/table.ts';
import { isShown } from './againstBase.ts';
import type { Metric } from './halving.ts';
import { type ConfigurationResult, differences, type SweepOutcome } from './outcome.ts';
import { pairedTest } from './statistics.ts';

/** Significance level. */
const LEVEL = 0.05;

/** The recommendation. */
export function recommendationOf(found: Omit<SweepOutcome, 'recommendation'>): string {
  const { baseline, metric, verdict } = found;
  if (verdict.outcome === 'none') return verdict.text;
  // Configurations not shown to be better than the base are not recommended.
  const methods = verdict.outcome === 'some' ? found.methods.filter(({ best }) => isShown(best)) : found.methods;
  const outcome = { ...found, methods };
  const [first, second] = methods;
  if (!first)
    return 'No configuration was trained to its end with all its seeds, so there is nothing to recommend yet.';
  const against = methods.find(({ method }) => method === baseline);
  const sentences = [
    first.method === baseline
      ? baselineWins(outcome, second)
      : against
        ? anotherWins(outcome, against.best)
        : `Use ${named(first.best, metric)}. The baseline ${baseline} ${found.methods.length > methods.length ? 'is not shown to be better than the base' : 'was not trained to its end, so nothing is held against it'}.`,
    ...cheaper(outcome),
  ];
  return sentences.join(' ');
}

/** `lora r 8 (accuracy 0.87, 9,216 parameters)`. */
function named({ configuration, score, interval, parameters }: ConfigurationResult, { name }: Metric): string {
  const size = parameters === undefined ? '' : `; ${grouped(Math.round(parameters))} parameters`;
  return `${configuration.name} (${name} ${withInterval(short(score!), interval).replace(/ \((.*)\)$/, ', 95% $1')}${size})`;
}

function baselineWins(
  { methods, baseline, metric }: Omit<SweepOutcome, 'recommendation'>,
  second: (typeof methods)[number] | undefined,
): string {
  const best = `Use ${named(methods[0]!.best, metric)}`;
  if (!second) return `${best}: of what was tried, it is the best.`;
  const wins = isLora(baseline) ? 'Plain LoRA wins' : `The baseline ${baseline} wins`;
  const { test } = second;
  if (test?.difference === 0)
    return `Nothing is better than ${isLora(baseline) ? 'plain LoRA' : baseline}: ${uncapital(best)}. ${named(second.best, metric)} measured the same.`;
  const by = test
    ? `, which is ${distance(-test.difference, test.interval && [-test.interval[1], -test.interval[0]])} behind`
    : '';
  const told =
    test?.adjusted === undefined
      ? '; these seeds do not say whether that is more than chance'
      : test.adjusted < LEVEL
        ? ` (p ${probability(test.adjusted)} over ${test.pairs} pairs)`
        : `, a difference within noise (p ${probability(test.adjusted)} over ${test.pairs} pairs)`;
  return `${wins}: ${uncapital(best)}. Next comes ${named(second.best, metric)}${by}${told}.`;
}

function uncapital(text: string): string {
  return `${text.charAt(0).toLowerCase()}${text.slice(1)}`;
}

function anotherWins(
  { methods, baseline, metric }: Omit<SweepOutcome, 'recommendation'>,
  against: ConfigurationResult,
): string {
  const { best, test } = methods[0]!;
  const plain = isLora(baseline) ? 'plain LoRA' : baseline;
  const by = distance(test!.difference, test!.interval);
  if (test!.adjusted === undefined) {
    return `${named(best, metric)} measured ${by} better than ${plain} at its best, ${named(against, metric)}; these seeds do not say whether that is more than chance, so add some before you choose.`;
  }
  if (test!.adjusted < LEVEL) {
    return `Use ${named(best, metric)}: it is ${by} better than ${plain} at its best, ${named(against, metric)} (p ${probability(test!.adjusted)} over ${test!.pairs} pairs).`;
  }
  return `Nothing is better than ${plain} beyond noise: use ${named(against, metric)}. ${named(best, metric)} measured ${by} better, which is within noise (p ${probability(test!.adjusted)} over ${test!.pairs} pairs).`;
}

/** The smallest configuration of at most half the best one's size that does not differ significantly from it. */
function cheaper({ configurations, methods, metric, resampling }: Omit<SweepOutcome, 'recommendation'>): string[] {
  const best = methods[0]!.best;
  const [small] = configurations
    .filter(({ isWhole, parameters }) => isWhole && parameters! <= best.parameters! / 2)
    .map((each) => ({ each, test: pairedTest(differences(best, each, metric), resampling) }))
    .filter(({ test }) => test.p !== undefined && test.p >= LEVEL)
    .sort((a, b) => a.each.parameters! - b.each.parameters!);
  // Mentioned already.
  if (!small || small.each === methods[1]?.best) return [];
  return [
    `At most half the size of ${best.configuration.name}, ${named(small.each, metric)} is the smallest that these ${small.test.pairs} pairs cannot tell from it: it is ${distance(small.test.difference, small.test.interval)} behind.`,
  ];
}

function isLora(method: string): boolean {
  return method === 'lora';
}

function distance(difference: number, interval: readonly [number, number] | undefined): string {
  const text = interval
    ? `${short(difference)} (95%: ${short(interval[0])} to ${short(interval[1])})`
    : short(difference);
  // Minus signs as in a run's verdict.
  return text.replaceAll(/(?<!e)-/g, '−');
}

/** `0.031`, or `below 0.001`. */
export function probability(p: number): string {
  return p < 0.001 ? 'below 0.001' : short(Number(p.toPrecision(2)));
}
