/** @file Points or lines of several series as SVG, a colour for each. */

import type { ReportChart, ReportSection } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { niceTicks } from './curve.ts';
import { escapeHtml } from './escape.ts';

const width = 560;
const height = 340;
const left = 64;
const right = 20;
const top = 12;
const bottom = 40;
/** Colours far apart in hue; more series than these share them. */
const COLOURS = 12;

/** An `<svg>` with a legend; a line of text where there is nothing to draw. */
export function chart(
  { kind, x, y, series, diagonal = false }: ReportChart & Pick<ReportSection, 'kind'>,
  title: string,
): string {
  const points = series.flatMap((each) => each.points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)));
  if (points.length === 0) return '<p class="quiet">Nothing to draw.</p>';
  // A diagonal is one only where both axes are the same.
  const xs = axis(points.flatMap(([a, b]) => (diagonal ? [a, b] : [a])), 6); // prettier-ignore
  const ys = diagonal ? xs : axis(points.map(([, value]) => value), 6); // prettier-ignore
  const atX = (value: number): string => (left + xs.share(value) * (width - left - right)).toFixed(1);
  const atY = (value: number): string => (height - bottom - ys.share(value) * (height - top - bottom)).toFixed(1);
  const legend = series.map(({ name }, i) => `<li class="s${i % COLOURS}">${escapeHtml(name)}</li>`);
  return [
    `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${title}: ${y} over ${x}, ${series.length} series.`)}">`,
    ...ys.ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${atY(tick)}" y2="${atY(tick)}"/><text x="${left - 8}" y="${atY(tick)}" dy="4" text-anchor="end">${short(tick)}</text>`,
    ),
    ...xs.ticks.map(
      (tick) => `<text x="${atX(tick)}" y="${height - bottom + 18}" text-anchor="middle">${short(tick)}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 4}" text-anchor="middle">${escapeHtml(x)}</text>`,
    `<text x="14" y="${(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(top + height - bottom) / 2})">${escapeHtml(y)}</text>`,
    ...(diagonal
      ? [
          `<line class="diagonal" x1="${atX(xs.ticks[0]!)}" y1="${atY(ys.ticks[0]!)}" x2="${atX(xs.ticks.at(-1)!)}" y2="${atY(ys.ticks.at(-1)!)}"/>`,
        ]
      : []),
    ...series.map(({ points: all }, i) => {
      const own = all.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
      const dots = (r: number): string =>
        own.map(([a, b]) => `<circle cx="${atX(a)}" cy="${atY(b)}" r="${r}"><title>${escapeHtml(`${series[i]!.name}: ${short(a)}, ${short(b)}`)}</title></circle>`).join(''); // prettier-ignore
      if (kind === 'lines') {
        const path = own.map(([a, b], j) => `${j === 0 ? 'M' : 'L'}${atX(a)} ${atY(b)}`).join('');
        return `<path class="s${i % COLOURS}" d="${path}"/><g class="s${i % COLOURS} hits">${dots(5)}</g>`;
      }
      return `<g class="s${i % COLOURS}">${dots(3)}</g>`;
    }),
    '</svg>',
    ...(series.length > 1 ? [`<ul class="legend">${legend.join('')}</ul>`] : []),
  ].join('\n');
}

/** Ticks around the values, and where between the outer ones a value lies. */
function axis(values: readonly number[], count: number): { ticks: number[]; share: (value: number) => number } {
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const ticks = niceTicks(low, high, count);
  const [first, last] = [ticks[0]!, ticks.at(-1)!];
  return { ticks, share: (value) => (value - first) / (last - first || 1) };
}
