/** @file Curves over the steps of a run as SVG: what each step had, a running mean, and points that were measured. */

import type { Stretch } from '../run/history.ts';
import { short } from '../terminal/table.ts';

/** A point that was measured. */
export interface CurvePoint {
  readonly step: number;
  readonly value: number;
}

/** How a curve is drawn. */
export interface CurveOptions {
  /** What it shows, such as `Loss`. */
  readonly name: string;
  /** Draw a running mean too. */
  readonly smooth?: boolean;
  /** What was measured of the same on held-out data, drawn over it. */
  readonly heldOut?: readonly CurvePoint[];
}

const width = 560;
const height = 260;
const left = 64;
const right = 20;
const top = 12;
const bottom = 36;

/** An `<svg>` of a number over the steps; a line of text where there are too few steps to draw. */
export function stepCurve(stretches: readonly Stretch[], { name, smooth = false, heldOut = [] }: CurveOptions): string {
  if (stretches.length < 2) return '<p class="quiet">Too few steps for a curve.</p>';
  const means = runningMean(stretches);
  // Of each stretch the lowest and the highest, so that spikes stay.
  const raw = stretches.flatMap(({ step, low, high }) =>
    low === high
      ? [{ step, value: low }]
      : [
          { step, value: low },
          { step, value: high },
        ],
  );
  const ends = smooth ? means : raw;
  return draw(raw, [smooth ? 'raw' : 'smooth'], smooth ? [means] : [], {
    label: `${name} from ${short(ends[0]!.value)} to ${short(ends.at(-1)!.value)}`,
    marks: false,
    told: stretches.map(({ step, mean }) => ({ step, value: mean })),
    heldOut: heldOut.filter(({ value }) => Number.isFinite(value)),
  });
}

/** An `<svg>` of what was measured now and then, a mark for each. */
export function measuredCurve(points: readonly CurvePoint[], { name }: CurveOptions): string {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  if (finite.length < 2) return '';
  const label = `${name} from ${short(finite[0]!.value)} to ${short(finite.at(-1)!.value)}`;
  return draw(finite, ['smooth'], [], { label, marks: true, told: [], heldOut: [] });
}

interface DrawOptions {
  readonly label: string;
  readonly marks: boolean;
  /** Points that tell their numbers where a pointer rests on them. */
  readonly told: readonly CurvePoint[];
  readonly heldOut: readonly CurvePoint[];
}

function draw(
  line: readonly CurvePoint[],
  [style]: readonly [string],
  over: readonly (readonly CurvePoint[])[],
  { label, marks, told, heldOut }: DrawOptions,
): string {
  const values = [...line, ...heldOut].map(({ value }) => value);
  const lowest = values.reduce((a, b) => Math.min(a, b));
  const highest = values.reduce((a, b) => Math.max(a, b));
  const [first, last] = [Math.min(line[0]!.step, heldOut[0]?.step ?? Infinity), Math.max(line.at(-1)!.step, heldOut.at(-1)?.step ?? 0)]; // prettier-ignore
  // What lies near 0 is shown from 0, so that half as high is half as much.
  const isFar = lowest > highest / 2 && highest - lowest > 1e-6 * highest;
  const yTicks = niceTicks(isFar ? lowest : Math.min(0, lowest), highest, 5);
  const xTicks = niceTicks(first, last, 6).filter((tick) => Number.isInteger(tick) && tick >= first && tick <= last);
  const [low, high] = [yTicks[0]!, yTicks.at(-1)!];
  const x = (step: number): number => left + ((step - first) / (last - first || 1)) * (width - left - right);
  const y = (value: number): number => height - bottom - ((value - low) / (high - low || 1)) * (height - top - bottom);
  const path = (points: readonly CurvePoint[]): string =>
    points.map(({ step, value }, i) => `${i === 0 ? 'M' : 'L'}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join('');
  const reach = (width - left - right) / Math.max(1, told.length);
  return [
    `<svg class="curve" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label} over steps ${Math.round(first)} to ${Math.round(last)}.">`,
    ...yTicks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}"/>` +
        `<text x="${left - 8}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${short(tick)}</text>`,
    ),
    ...xTicks.map(
      (tick) => `<text x="${x(tick).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${tick}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 3}" text-anchor="middle">step</text>`,
    `<path class="${style}" d="${path(line)}"/>`,
    ...over.map((points) => `<path class="smooth" d="${path(points)}"/>`),
    ...told.map((point) => `<rect class="hit" x="${(x(point.step) - reach / 2).toFixed(1)}" y="${top}" width="${reach.toFixed(1)}" height="${height - top - bottom}">${tooltip(point)}</rect>`), // prettier-ignore
    ...(heldOut.length > 1 ? [`<path class="held-out" d="${path(heldOut)}"/>`] : []),
    ...[...(marks ? line : []), ...heldOut].map((point) => `<circle${heldOut.includes(point) ? ' class="held-out"' : ''} cx="${x(point.step).toFixed(1)}" cy="${y(point.value).toFixed(1)}" r="${heldOut.includes(point) ? 4 : 3}">${tooltip(point)}</circle>`), // prettier-ignore
    '</svg>',
  ].join('\n');
}

function tooltip({ step, value }: CurvePoint): string {
  return `<title>step ${Math.round(step)}: ${short(value)}</title>`;
}

/** Exponential running mean over about a twentieth of the steps, without a bias at the start. */
export function runningMean(stretches: readonly Stretch[]): CurvePoint[] {
  const keep = 1 - 1 / Math.max(1, stretches.length / 20);
  let sum = 0;
  let weight = 0;
  return stretches.map(({ step, mean }) => {
    sum = keep * sum + (1 - keep || 1) * mean;
    weight = keep * weight + (1 - keep || 1);
    return { step, value: sum / weight };
  });
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
