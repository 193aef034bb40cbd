/** @file The loss curve as SVG: what each step had, and a running mean. */

import { short } from '../table.ts';

/** A point of the curve. */
export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
}

const width = 560;
const height = 260;
const left = 52;
const right = 20;
const top = 12;
const bottom = 36;
/** More points than pixels say nothing. */
const MOST_POINTS = 400;

/** An `<svg>` of the loss over the steps; a line of text where there are too few steps to draw. */
export function lossCurve(points: readonly CurvePoint[]): string {
  const finite = points.filter(({ loss }) => Number.isFinite(loss));
  if (finite.length < 2) return '<p class="quiet">Too few steps for a curve.</p>';
  const smooth = thinned(runningMean(finite));
  const raw = thinned(finite);
  const [first, last] = [finite[0]!.step, finite.at(-1)!.step];
  const yTicks = niceTicks(Math.min(0, ...raw.map(({ loss }) => loss)), Math.max(...raw.map(({ loss }) => loss)), 5);
  const xTicks = niceTicks(first, last, 6).filter((tick) => Number.isInteger(tick) && tick >= first && tick <= last);
  const [low, high] = [yTicks[0]!, yTicks.at(-1)!];
  const x = (step: number): number => left + ((step - first) / (last - first)) * (width - left - right);
  const y = (loss: number): number => height - bottom - ((loss - low) / (high - low || 1)) * (height - top - bottom);
  const path = (line: readonly CurvePoint[]): string =>
    line.map(({ step, loss }, i) => `${i === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join('');
  const ends = `Loss from ${short(smooth[0]!.loss)} to ${short(smooth.at(-1)!.loss)} over steps ${first} to ${last}.`;
  return [
    `<svg class="curve" viewBox="0 0 ${width} ${height}" role="img" aria-label="${ends}">`,
    ...yTicks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/>` +
        `<text x="${left - 8}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${short(tick)}</text>`,
    ),
    ...xTicks.map(
      (tick) => `<text x="${x(tick).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${tick}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 3}" text-anchor="middle">step</text>`,
    `<path class="raw" d="${path(raw)}"/>`,
    `<path class="smooth" d="${path(smooth)}"/>`,
    '</svg>',
  ].join('\n');
}

/** Exponential running mean over about a twentieth of the steps, without a bias at the start. */
function runningMean(points: readonly CurvePoint[]): CurvePoint[] {
  const keep = 1 - 1 / Math.max(1, points.length / 20);
  let sum = 0;
  let weight = 0;
  return points.map(({ step, loss }) => {
    sum = keep * sum + (1 - keep || 1) * loss;
    weight = keep * weight + (1 - keep || 1);
    return { step, loss: sum / weight };
  });
}

/** At most {@link MOST_POINTS}: of each stretch the lowest and the highest, so that spikes stay. */
function thinned(points: readonly CurvePoint[]): CurvePoint[] {
  if (points.length <= MOST_POINTS) return [...points];
  const size = Math.ceil((2 * points.length) / MOST_POINTS);
  const kept: CurvePoint[] = [];
  for (let start = 0; start < points.length; start += size) {
    const stretch = points.slice(start, start + size);
    const lowest = stretch.reduce((a, b) => (b.loss < a.loss ? b : a));
    const highest = stretch.reduce((a, b) => (b.loss > a.loss ? b : a));
    kept.push(...(lowest === highest ? [lowest] : [lowest, highest].sort((a, b) => a.step - b.step)));
  }
  return kept;
}

/** Round numbers from at or below `from` to at or above `to`, about `count` of them. */
export function niceTicks(from: number, to: number, count: number): number[] {
  // Below this, a power of ten is no longer exact enough to count in.
  const rough = Math.max((to - from || Math.abs(to) || 1) / count, 1e-290);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)!;
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  return Array.from({ length: Math.max(1, last - first) + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}
