/** @file A heat map: a table of colours that scrolls under fixed row names. */

import type { ReportHeatmap } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { escapeHtml } from './page.ts';
import { nothingToDraw } from './plot.ts';

/** Quantile of full colour: few outliers must not make all others pale. */
const REACHED = 0.98;

interface Scale {
  /** The value without colour. */
  readonly from: number;
  /** The distance of full colour. */
  readonly reach: number;
  readonly isTwoSided: boolean;
}

/** A table with coloured cells that hold their numbers, and a legend above it. */
export function heatmap(map: ReportHeatmap): string {
  const { x, y, rows, columns, values, marked = [] } = map;
  const scale = scaleOf(map);
  if (!scale) return nothingToDraw;
  const marks = new Set(marked.map(([row, column]) => row * columns.length + column));
  const head = columns.map((name) => `<th scope="col">${escapeHtml(name)}</th>`).join('');
  const body = rows.map((name, row) => {
    const cells = columns.map((column, i) => {
      const value = values[row]?.[i] ?? null;
      const isMarked = marks.has(row * columns.length + i);
      const mark = isMarked ? ' mark' : '';
      const place = escapeHtml(`${name}, ${column}`);
      if (value === null || !Number.isFinite(value))
        return `<td class="none${mark}" title="${place}${isMarked ? ' (unchanged)' : ''}"></td>`;
      const text = short(value).replace('-', '−');
      const share = Math.min(1, Math.abs(value - scale.from) / scale.reach);
      return `<td class="${value < scale.from ? 'low' : 'high'}${mark}" style="--share:${share.toFixed(2)}" title="${place}: ${text}">${text}</td>`;
    });
    return `<tr><th scope="row">${escapeHtml(name)}</th>${cells.join('')}</tr>`;
  });
  return `${legend(scale, marks.size > 0)}
<div class="scroll" tabindex="0" role="region" aria-label="${escapeHtml(`${y} by ${x}`)}"><table class="heatmap">
<thead><tr><th scope="col">${escapeHtml(y)}&nbsp;\\&nbsp;${escapeHtml(x)}</th>${head}</tr></thead>
<tbody>
${body.join('\n')}
</tbody></table></div>`;
}

function scaleOf({ values, centre }: ReportHeatmap): Scale | undefined {
  const all = values.flat().filter((value): value is number => value !== null && Number.isFinite(value));
  if (all.length === 0) return undefined;
  const from = centre ?? all.reduce((a, b) => Math.min(a, b));
  const distances = all.map((value) => Math.abs(value - from)).sort((a, b) => a - b);
  const reach = distances[Math.ceil(REACHED * distances.length) - 1]! || distances.at(-1)! || 1;
  return { from, reach, isTwoSided: centre !== undefined };
}

function legend({ from, reach, isTwoSided }: Scale, hasMarks: boolean): string {
  const ends = isTwoSided ? [from - reach, from, from + reach] : [from, from + reach];
  const numbers = ends.map((value) => `<span>${short(Number(value.toPrecision(3))).replace('-', '−')}</span>`);
  const mark = hasMarks ? '<span class="key"><i class="mark"></i> unchanged</span>' : '';
  return `<div class="heat-legend"><div><div class="${isTwoSided ? 'two' : 'one'}-sided"></div><div class="ends">${numbers.join('')}</div></div>${mark}</div>`;
}
