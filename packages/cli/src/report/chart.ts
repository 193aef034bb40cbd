/** @file Scatter plots, line charts and histograms as SVG. */

import type { ReportChart, ReportHistogram, ReportSection } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { escapeHtml } from './page.ts';
import { niceTicks, nothingToDraw, pathThrough, plot } from './plot.ts';
import { COLOURS } from './style.ts';

/** A chart with a legend, which names series without points; a text where nothing can be drawn. */
export function chart(
  { kind, x, y, series, diagonal = false }: ReportChart & Pick<ReportSection, 'kind'>,
  title: string,
): string {
  const known = series.map(({ name, points }, i) => ({
    name,
    colour: `s${i % COLOURS}`,
    points: points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)),
  }));
  const all = known.flatMap(({ points }) => points);
  if (all.length === 0) return nothingToDraw;
  // A diagonal needs equal axes.
  const xTicks = ticksAround(all.flatMap(([a, b]) => (diagonal ? [a, b] : [a])));
  const yTicks = diagonal ? xTicks : ticksAround(all.map(([, value]) => value));
  const label = `${title}: ${y} over ${x}, ${series.length} series.`;
  const axes = { x: { name: x, ticks: xTicks }, y: { name: y, ticks: yTicks } };
  const svg = plot({ kind: 'chart', label, height: 340, ...axes }, ({ atX, atY }) => [
    ...(diagonal
      ? [
          `<line class="diagonal" x1="${atX(xTicks[0]!)}" y1="${atY(yTicks[0]!)}" x2="${atX(xTicks.at(-1)!)}" y2="${atY(yTicks.at(-1)!)}"/>`,
        ]
      : []),
    ...known.map(({ name, colour, points }) => {
      const dots = (r: number): string =>
        points.map(([a, b]) => `<circle cx="${atX(a)}" cy="${atY(b)}" r="${r}"><title>${escapeHtml(`${name}: ${short(a)}, ${short(b)}`)}</title></circle>`).join(''); // prettier-ignore
      // A single point makes no visible line.
      if (kind !== 'lines' || points.length < 2) return `<g class="${colour}">${dots(3)}</g>`;
      return `<path class="${colour}" d="${pathThrough(points, { atX, atY })}"/><g class="${colour} hits">${dots(5)}</g>`;
    }),
  ]);
  const legend = known.map(({ name, colour, points }) =>
    points.length > 0
      ? `<li class="${colour}">${escapeHtml(name)}</li>`
      : `<li class="none">${escapeHtml(name)} (no ${kind === 'lines' ? 'curve' : 'points'})</li>`,
  );
  return series.length > 1 ? `${svg}\n<ul class="legend">${legend.join('')}</ul>` : svg;
}

function ticksAround(values: readonly number[]): number[] {
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  return niceTicks(low, high, 6);
}

/** A histogram; a text where nothing can be drawn. */
export function histogram({ x, borders, counts }: ReportHistogram, title: string): string {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const [from, to] = [borders[0]!, borders.at(-1)!];
  if (all === 0 || !(to > from)) return nothingToDraw;
  const label = `${title}: ${all} values of ${x} from ${short(from)} to ${short(to)}.`;
  const xTicks = niceTicks(from, to, 7).filter((tick) => tick >= from && tick <= to);
  const axes = {
    x: { name: x, ticks: xTicks, ends: [from, to] as const },
    y: { name: 'how many', ticks: niceTicks(0, Math.max(...counts), 5) },
  };
  return plot({ kind: 'chart', label, height: 280, ...axes }, ({ atX, atY, top, bottom }) => [
    ...counts.map((count, i) => {
      const [start, end] = [Number(atX(borders[i]!)), Number(atX(borders[i + 1]!))];
      const name = `${short(borders[i]!)} to ${short(borders[i + 1]!)}: ${count}`;
      return `<rect class="s0" x="${(start + 0.5).toFixed(1)}" y="${atY(count)}" width="${Math.max(0.5, end - start - 1).toFixed(1)}" height="${(bottom - Number(atY(count))).toFixed(1)}"><title>${name}</title></rect>`;
    }),
    ...(from < 0 && to > 0 ? [`<line class="zero" x1="${atX(0)}" x2="${atX(0)}" y1="${top}" y2="${bottom}"/>`] : []),
  ]);
}
