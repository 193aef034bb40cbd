/** @file The page of `onnx-lora sweep`: recommendation, Pareto fronts, methods against the baseline. */

import { type Cost, costs, type ConfigurationResult, type SweepOutcome } from '../sweep/outcome.ts';
import { probability } from '../sweep/recommendation.ts';
import { clock, grouped, inBytes, short } from '../terminal/table.ts';
import { dateOf, escapeHtml, factTiles, measuredHtml, page, scrollTable } from './page.ts';
import { logTicks, niceTicks, nothingToDraw, pathThrough, plot } from './plot.ts';
import { part } from './sections.ts';
import { COLOURS } from './style.ts';

export interface SweepPage {
  readonly title: string;
  readonly outcome: SweepOutcome;
  /** Whether all trials are done. */
  readonly isWhole: boolean;
  /** The config file's text. */
  readonly file: string;
  /** Seconds of all calls. */
  readonly seconds: number;
  readonly parallel: number;
  readonly date: Date;
  readonly runtime: string;
}

const shown: Readonly<Record<Cost, { readonly name: string; readonly text: (value: number) => string }>> = {
  parameters: { name: 'trained parameters', text: (value) => grouped(Math.round(value)) },
  seconds: { name: 'seconds of training', text: (value) => short(value) },
  memory: { name: 'peak memory', text: inBytes },
  bytes: { name: "adapter's bytes", text: (value) => inBytes(Math.round(value)) },
};

/** Renders the page. All external text is escaped. */
export function sweepPage({ title, outcome, isWhole, file, seconds, parallel, date, runtime }: SweepPage): string {
  const { trials, metric, recommendation, base, verdict } = outcome;
  const facts: [string, string][] = [
    ['trials', `${grouped(trials.done)} of ${grouped(trials.all)}`],
    ['time', clock(seconds)],
    [`score: ${metric.name}`, metric.isLower ? 'lower is better' : 'higher is better'],
    ...(base === undefined ? [] : [['the base scores', short(base)] as [string, string]]),
    ...(trials.failed > 0 ? [['failed', grouped(trials.failed)] as [string, string]] : []),
  ];
  return page(
    title,
    `<p class="quiet">${dateOf(date)}</p>
<p class="answer">${escapeHtml(recommendation)}${recommendation === verdict.text ? '' : `<br>${escapeHtml(verdict.text)}`}</p>
${factTiles(facts)}
<div class="parts">
${part(`Methods, each at its best, against ${escapeHtml(outcome.baseline)}`, methodTable(outcome), true)}
${costs.map((cost) => part(`${escapeHtml(metric.name)} over ${shown[cost].name}`, scatter(outcome, cost))).join('\n')}
${part('All configurations', configurationTable(outcome), true)}
${part('How to read this', notes(outcome, isWhole, parallel), true)}
${part('The file', `<pre>${escapeHtml(file)}</pre>`, true)}
</div>
<p class="quiet">${escapeHtml(runtime)}</p>`,
  );
}

function methodTable({ methods, baseline }: SweepOutcome): string {
  if (methods.length === 0) return '<p class="quiet">No configuration was trained to its end with all its seeds.</p>';
  const rows = methods.map(({ method, best, test }) => {
    const difference = test
      ? `${test.difference > 0 ? '+' : ''}${measuredHtml(test.difference, test.interval)}`
      : method === baseline
        ? 'baseline'
        : '–';
    const p = test?.adjusted === undefined ? '–' : probability(test.adjusted);
    return `<tr><th scope="row">${escapeHtml(method)}</th><td>${escapeHtml(best.configuration.name)}</td><td class="number">${measuredHtml(best.score!, best.interval)}</td><td class="number">${difference}</td><td class="number">${p}</td>${costCells(best)}</tr>`;
  });
  const heads = ['method', 'best configuration', 'score', 'better by', 'p', ...costs.map((cost) => shown[cost].name)];
  return scrollTable(heads, (i) => i >= 2, rows);
}

function configurationTable({ configurations, metric }: SweepOutcome): string {
  const value = ({ score, leftAt }: ConfigurationResult): number => {
    const known = score ?? leftAt?.score ?? NaN;
    return Number.isNaN(known) ? -Infinity : metric.isLower ? -known : known;
  };
  const sorted = [...configurations].sort((a, b) => Number(b.isWhole) - Number(a.isWhole) || value(b) - value(a) || 0);
  const rows = sorted.map((each) => {
    const { configuration, score, interval, against, scores, failed, failure, leftAt, fronts } = each;
    const own =
      score !== undefined
        ? measuredHtml(score, interval)
        : leftAt
          ? `<span class="quiet">${short(leftAt.score)} at ${short(100 * leftAt.part)}% of the steps</span>`
          : '–';
    const single = [...scores]
      .map(([key, one]) => `<span title="seed ${escapeHtml(key)}">${short(one)}</span>`)
      .join(' ');
    const wrong =
      failed === 0
        ? ''
        : `<br><span class="quiet">${failed} of ${configuration.trials.length} failed: ${escapeHtml(failure ?? '')}</span>`;
    return `<tr><th scope="row">${escapeHtml(configuration.name)}${wrong}</th><td class="number">${own}</td><td class="number">${against ? measuredHtml(against.difference, against.interval) : '–'}</td><td class="number">${single}</td>${costCells(each)}<td>${fronts.join(', ')}</td></tr>`;
  });
  const heads = ['configuration', 'score', 'over the base', 'each', ...costs.map((cost) => shown[cost].name)];
  return scrollTable([...heads, 'on the front of'], (i) => i > 0 && i < heads.length, rows);
}

function costCells(result: ConfigurationResult): string {
  return costs
    .map((cost) => `<td class="number">${result[cost] === undefined ? '–' : shown[cost].text(result[cost])}</td>`)
    .join('');
}

/** Scores with intervals over a cost, coloured by method, with the Pareto front. */
function scatter({ configurations, metric }: SweepOutcome, cost: Cost): string {
  const points = configurations.filter((each) => each.isWhole && each[cost] !== undefined);
  if (points.length === 0) return nothingToDraw;
  const methods = [...new Set(points.map(({ configuration }) => configuration.method))];
  const xs = points.map((each) => each[cost]!);
  const ys = points.flatMap(({ score, interval }) => [score!, ...(interval ?? [])]);
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const isLog = least > 0 && most > 10 * least;
  const unit = cost === 'memory' ? 1e6 : cost === 'bytes' ? 1e3 : 1;
  const name = { parameters: shown.parameters.name, seconds: 'seconds', memory: 'MB', bytes: 'kB' }[cost];
  const [from, to] = [least / unit, most / unit];
  const axes = {
    x: { name, ticks: isLog ? logTicks(from, to) : niceTicks(from, to, 6), isLog },
    y: { name: metric.name, ticks: niceTicks(Math.min(...ys), Math.max(...ys), 6) },
  };
  const label = `${metric.name} over ${shown[cost].name}, ${points.length} configurations.`;
  const front = points
    .filter(({ fronts }) => fronts.includes(cost))
    .sort((a, b) => a[cost]! - b[cost]!)
    .map((each) => [each[cost]! / unit, each.score!] as const);
  const svg = plot({ kind: 'chart', label, height: 340, ...axes }, ({ atX, atY }) => [
    ...(front.length > 1 ? [`<path class="front" d="${pathThrough(front, { atX, atY })}"/>`] : []),
    ...points.map((each) => {
      const { configuration, score, interval } = each;
      const x = atX(each[cost]! / unit);
      const bar = interval ? `<line class="bar" x1="${x}" x2="${x}" y1="${atY(interval[0])}" y2="${atY(interval[1])}"/>` : ''; // prettier-ignore
      const told = `${configuration.name}: ${short(score!)}, ${shown[cost].text(each[cost]!)}`;
      return `<g class="s${methods.indexOf(configuration.method) % COLOURS}">${bar}<circle cx="${x}" cy="${atY(score!)}" r="4"><title>${escapeHtml(told)}</title></circle></g>`;
    }),
  ]);
  const legend = methods.map((method, i) => `<li class="s${i % COLOURS}">${escapeHtml(method)}</li>`).join('');
  return `${svg}\n<ul class="legend">${legend}</ul>`;
}

function notes({ resampling, methods }: SweepOutcome, isWhole: boolean, parallel: number): string {
  const shares = resampling.ratio > 0;
  const lines = [
    isWhole ? '' : 'Not all trials have been made. The same command continues.',
    'Scores are means over seeds and folds. The brackets hold them with a probability of 95%, by a bootstrap that draws held-out examples and seeds; of a task without draws by Student’s t over seeds.',
    'Over the base: by how much a configuration is better than the model without it on the same held-out examples. These intervals hold all at once with a probability of 95% (balanced simultaneous intervals, Beran 1988), so that they bear choosing the best of many.',
    'Tests are paired: each pair has seed and fold in common. p is that of Student’s t-test, and as Holm’s method has it for all methods together.',
    shares
      ? `Trials with other seeds or folds hold out other examples, and share what they are trained on: intervals and tests are those of Nadeau and Bengio, with ${short(resampling.ratio)} held-out examples for each that is trained on.`
      : 'All trials are measured on the same examples: tests say what other seeds would do, and not what other data would.',
    methods.length > 0
      ? 'The best configuration of a method was chosen by the same numbers that it is shown with, which flatters its score, and the more so the more were tried. Measure the one that you take on data of its own (onnx-lora eval).'
      : '',
    'The dashed lines are Pareto fronts: nothing that was tried costs less and scores as high.',
    parallel > 1
      ? `${parallel} trials ran at a time and shared the cores, so that seconds are more than those of one alone.`
      : '',
  ];
  return lines.flatMap((line) => (line === '' ? [] : [`<p>${escapeHtml(line)}</p>`])).join('\n');
}
