/** @file How often values are how large, as bars in SVG. */

import type { ReportHistogram } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { niceTicks } from './curve.ts';
import { escapeHtml } from './escape.ts';

const width = 560;
const height = 280;
const left = 64;
const right = 20;
const top = 12;
const bottom = 40;

/** An `<svg>` with a bar per bin; a line of text where there is nothing to draw. */
export function histogram({ x, borders, counts }: ReportHistogram, title: string): string {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const [from, to] = [borders[0]!, borders.at(-1)!];
  if (all === 0 || !(to > from)) return '<p class="quiet">Nothing to draw.</p>';
  const ticks = niceTicks(0, Math.max(...counts), 5);
  const atX = (value: number): number => left + ((value - from) / (to - from)) * (width - left - right);
  const atY = (count: number): number => height - bottom - (count / ticks.at(-1)!) * (height - top - bottom);
  const marks = niceTicks(from, to, 7).filter((tick) => tick >= from && tick <= to);
  return [
    `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(`${title}: ${all} values of ${x} from ${short(from)} to ${short(to)}.`)}">`,
    ...ticks.map(
      (tick) =>
        `<line class="grid" x1="${left}" x2="${width - right}" y1="${atY(tick).toFixed(1)}" y2="${atY(tick).toFixed(1)}"/><text x="${left - 8}" y="${atY(tick).toFixed(1)}" dy="4" text-anchor="end">${short(tick)}</text>`,
    ),
    ...counts.map((count, i) => {
      const [start, end] = [atX(borders[i]!), atX(borders[i + 1]!)];
      const name = `${short(borders[i]!)} to ${short(borders[i + 1]!)}: ${count}`;
      return `<rect class="s0" x="${(start + 0.5).toFixed(1)}" y="${atY(count).toFixed(1)}" width="${Math.max(0.5, end - start - 1).toFixed(1)}" height="${(height - bottom - atY(count)).toFixed(1)}"><title>${name}</title></rect>`;
    }),
    ...marks.map(
      (tick) =>
        `<text x="${atX(tick).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle">${short(tick)}</text>`,
    ),
    ...(from < 0 && to > 0
      ? [`<line class="zero" x1="${atX(0).toFixed(1)}" x2="${atX(0).toFixed(1)}" y1="${top}" y2="${height - bottom}"/>`]
      : []),
    `<text x="${(left + width - right) / 2}" y="${height - 4}" text-anchor="middle">${escapeHtml(x)}</text>`,
    `<text x="14" y="${(top + height - bottom) / 2}" text-anchor="middle" transform="rotate(-90 14 ${(top + height - bottom) / 2})">how many</text>`,
    '</svg>',
  ].join('\n');
}
