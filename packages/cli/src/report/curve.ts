/** @file Curves over a run's steps as SVG: raw values, a running mean, and measured points. */

import type { StepRange } from '../run/history.ts';
import { short } from '../terminal/table.ts';
import { niceTicks, pathThrough, plot } from './plot.ts';

export interface CurvePoint {
  readonly step: number;
  readonly value: number;
}

export interface CurveOptions {
  /** The quantity, such as `Loss`. */
  readonly name: string;
  readonly smooth?: boolean;
  /** The same quantity on held-out data, drawn over it. */
  readonly heldOut?: readonly CurvePoint[];
}

/** A quantity over the steps; a text for too few steps. */
export function stepCurve(
  stretches: readonly StepRange[],
  { name, smooth = false, heldOut = [] }: CurveOptions,
): string {
  if (stretches.length < 2) return '<p class="quiet">Too few steps for a curve.</p>';
  const means = runningMean(stretches);
  // The lowest and highest value of each stretch, so that spikes stay.
  const raw = stretches.flatMap(({ step, low, high }) =>
    low === high
      ? [{ step, value: low }]
      : [
          { step, value: low },
          { step, value: high },
        ],
  );
  return draw(name, {
    lines: smooth ? [['raw', raw], ['smooth', means]] : [['smooth', raw]],
    told: stretches.map(({ step, mean }) => ({ step, value: mean })),
    heldOut: heldOut.filter(({ value }) => Number.isFinite(value)),
  }); // prettier-ignore
}

/** Occasional measurements, a mark per point. */
export function measuredCurve(points: readonly CurvePoint[], { name }: CurveOptions): string {
  const finite = points.filter(({ value }) => Number.isFinite(value));
  return finite.length < 2 ? '' : draw(name, { lines: [['smooth', finite]], marks: finite });
}

interface Drawn {
  /** Lines by class; the last one is described for screen readers. */
  readonly lines: readonly (readonly [kind: 'raw' | 'smooth', points: readonly CurvePoint[]])[];
  readonly marks?: readonly CurvePoint[];
  /** Points with tooltips. */
  readonly told?: readonly CurvePoint[];
  readonly heldOut?: readonly CurvePoint[];
}

function draw(name: string, { lines, marks = [], told = [], heldOut = [] }: Drawn): string {
  const shown = [...lines[0]![1], ...heldOut];
  const [low, high] = ends(shown.map(({ value }) => value));
  const [first, last] = ends(shown.map(({ step }) => step));
  // Values near 0 are shown from 0, so that heights are proportional.
  const isFar = low > high / 2 && high - low > 1e-6 * high;
  const xTicks = niceTicks(first, last, 6).filter((tick) => Number.isInteger(tick) && tick >= first && tick <= last);
  const axes = {
    x: { name: 'step', ticks: xTicks, ends: [first, last] as const },
    y: { name: '', ticks: niceTicks(isFar ? low : Math.min(0, low), high, 5) },
  };
  const whole = lines.at(-1)![1];
  const label = `${name} from ${short(whole[0]!.value)} to ${short(whole.at(-1)!.value)} over steps ${Math.round(first)} to ${Math.round(last)}.`;
  return plot({ kind: 'curve', label, height: 264, ...axes }, ({ atX, atY, width, top, bottom }) => {
    const reach = width / Math.max(1, told.length);
    const path = (kind: string, points: readonly CurvePoint[]): string =>
      `<path class="${kind}" d="${pathThrough(points.map(({ step, value }) => [step, value]), { atX, atY })}"/>`; // prettier-ignore
    const circle = (point: CurvePoint, kind: string, r: number): string =>
      `<circle${kind} cx="${atX(point.step)}" cy="${atY(point.value)}" r="${r}">${tooltip(point)}</circle>`;
    return [
      ...lines.map(([kind, points]) => path(kind, points)),
      ...told.map((point) => `<rect class="hit" x="${(Number(atX(point.step)) - reach / 2).toFixed(1)}" y="${top}" width="${reach.toFixed(1)}" height="${bottom - top}">${tooltip(point)}</rect>`), // prettier-ignore
      ...(heldOut.length > 1 ? [path('held-out', heldOut)] : []),
      ...marks.map((point) => circle(point, '', 3)),
      ...heldOut.map((point) => circle(point, ' class="held-out"', 4)),
    ];
  });
}

function ends(values: readonly number[]): [least: number, most: number] {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

function tooltip({ step, value }: CurvePoint): string {
  return `<title>step ${Math.round(step)}: ${short(value)}</title>`;
}

/** Exponential running mean over about a twentieth of the steps, without a bias at the start. */
export function runningMean(stretches: readonly StepRange[]): CurvePoint[] {
  const keep = 1 - 1 / Math.max(1, stretches.length / 20);
  let sum = 0;
  let weight = 0;
  return stretches.map(({ step, mean }) => {
    sum = keep * sum + (1 - keep || 1) * mean;
    weight = keep * weight + (1 - keep || 1);
    return { step, value: sum / weight };
  });
}
