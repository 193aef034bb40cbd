/** @file The frame of plots, with axes and ticks. */

import { short } from '../terminal/table.ts';
import { escapeHtml } from './page.ts';

export const nothingToDraw = '<p class="quiet">Nothing to draw.</p>';

export interface Axis {
  /** Empty where the plot's heading says it. */
  readonly name: string;
  readonly ticks: readonly number[];
  /** Values at its ends; the outer ticks by default. */
  readonly ends?: readonly [from: number, to: number];
  readonly isLog?: boolean;
}

export interface PlotFrame {
  readonly kind: 'chart' | 'curve';
  /** Description for screen readers. */
  readonly label: string;
  readonly height: number;
  readonly x: Axis;
  readonly y: Axis;
}

/** Maps values to coordinates, and the plot's inner bounds. */
export interface Places {
  readonly atX: (value: number) => string;
  readonly atY: (value: number) => string;
  readonly width: number;
  readonly top: number;
  readonly bottom: number;
}

const width = 560;
const left = 64;
const right = 20;
const top = 12;
/** Width of a digit on a narrow screen. */
const LETTER = 10;
const below = 40;

/** An `<svg>` with axes around what `draw` returns. */
export function plot({ kind, label, height, x, y }: PlotFrame, draw: (places: Places) => readonly string[]): string {
  const [end, bottom] = [width - right, height - below];
  const atX = placed(x, left, end);
  const atY = placed(y, bottom, top);
  const middle = (top + bottom) / 2;
  return [
    `<svg class="${kind}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">`,
    ...y.ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${end}" y1="${atY(tick)}" y2="${atY(tick)}"/><text x="${left - 8}" y="${atY(tick)}" dy="4" text-anchor="end">${short(tick)}</text>`,
    ),
    ...x.ticks.map((tick) => {
      const text = short(tick);
      // Centred below its tick, unless the edge would cut it.
      const isCut = Number(atX(tick)) + (text.length * LETTER) / 2 > width;
      return `<text x="${isCut ? width : atX(tick)}" y="${bottom + 18}" text-anchor="${isCut ? 'end' : 'middle'}">${text}</text>`;
    }),
    `<text x="${(left + end) / 2}" y="${height - 4}" text-anchor="middle">${escapeHtml(x.name)}</text>`,
    ...(y.name === ''
      ? []
      : [
          `<text x="14" y="${middle}" text-anchor="middle" transform="rotate(-90 14 ${middle})">${escapeHtml(y.name)}</text>`,
        ]),
    ...draw({ atX, atY, width: end - left, top, bottom }),
    '</svg>',
  ].join('\n');
}

function placed(
  { ticks, ends = [ticks[0]!, ticks.at(-1)!], isLog = false }: Axis,
  first: number,
  last: number,
): Places['atX'] {
  const along = (value: number): number => (isLog ? Math.log(value) : value);
  const [from, to] = ends.map(along) as [number, number];
  return (value) => (first + ((along(value) - from) / (to - from || 1)) * (last - first)).toFixed(1);
}

/** A path through points. */
export function pathThrough(
  points: readonly (readonly [x: number, y: number])[],
  { atX, atY }: Pick<Places, 'atX' | 'atY'>,
): string {
  return points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${atX(x)} ${atY(y)}`).join('');
}

/** About `count` round numbers that enclose `from` to `to`. */
export function niceTicks(from: number, to: number, count: number): number[] {
  // Powers of ten below this are inexact.
  const rough = Math.max((to - from || Math.abs(to) || 1) / count, 1e-290);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)!;
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  return Array.from({ length: Math.max(1, last - first) + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Powers of ten that enclose `from` to `to`, both above 0; with their double and fivefold where there are few. */
export function logTicks(from: number, to: number): number[] {
  const [first, last] = [Math.floor(Math.log10(from) + 1e-9), Math.ceil(Math.log10(to) - 1e-9)];
  const factors = last - first > 2 ? [1] : [1, 2, 5];
  const all = Array.from({ length: last - first + 1 }, (_, i) => factors.map((factor) => Number((factor * 10 ** (first + i)).toPrecision(12)))).flat(); // prettier-ignore
  const [begin, end] = [all.findLast((tick) => tick <= from * (1 + 1e-9)), all.find((tick) => tick >= to * (1 - 1e-9))];
  return all.filter((tick) => tick >= (begin ?? from) && tick <= (end ?? to));
}
