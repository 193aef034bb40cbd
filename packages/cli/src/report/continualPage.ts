/** @file Results of `onnx-lora continual`: a page with the score matrix as a heat map, JSON and CSV. */

import type { ContinualReport } from '@onnx-lora/methods';
import { csvCell } from '@onnx-lora/sdk/data';
import { short } from '../terminal/table.ts';
import { heatmap } from './heatmap.ts';
import { dateOf, escapeHtml, factTiles, page } from './page.ts';
import { part } from './sections.ts';

/** The results without the adapter. */
export interface ContinualScores extends Omit<ContinualReport, 'adapter'> {
  readonly method: string;
  /** Whether lower scores are better. */
  readonly isLower: boolean;
}

export interface ContinualPage {
  readonly title: string;
  readonly found: ContinualScores;
  /** The config file's text. */
  readonly file: string;
  readonly date: Date;
  readonly runtime: string;
}

/** Renders the page. All external text is escaped. */
export function continualPage({ title, found, file, date, runtime }: ContinualPage): string {
  const { method, metric, isLower, tasks, average, forgetting, forwardTransfer } = found;
  const facts = [
    ['method', method],
    [`score: ${metric}`, isLower ? 'lower is better' : 'higher is better'],
    ['average at the end', short(average)],
    ['forgetting', short(forgetting)],
    ['forward transfer', short(forwardTransfer)],
  ] as const;
  const { names, rows } = matrixOf(found);
  const map = { x: 'score of', y: 'after', rows: names, columns: tasks, values: rows };
  return page(
    title,
    `<p class="quiet">${dateOf(date)}</p>
${factTiles(facts)}
<div class="parts">
${part('Scores after each task', heatmap(map), true)}
${part(
  'How to read this',
  `<p>A row is what one adapter scores on all tasks once it has learned the tasks down to that row; below the diagonal stands what is left of those before.</p>
<p>Average: the mean of the last row. Forgetting: how much worse each task but the last is at the end than it was at its best. Forward transfer: how much better than the base each task but the first is right before it is learned.</p>
<p>All of it is one run with one seed, on the held-out examples of each task.</p>`,
  true,
)}
${part('The file', `<pre>${escapeHtml(file)}</pre>`, true)}
</div>
<p class="quiet">${escapeHtml(runtime)}</p>`,
  );
}

/** The results as JSON. */
export function continualJson({ isLower, ...found }: ContinualScores): Record<string, unknown> {
  return { ...found, better: isLower ? 'lower' : 'higher' };
}

/** The matrix as CSV, a row for the base and per task. */
export function continualCsv(found: ContinualScores): string {
  const { names, rows } = matrixOf(found);
  const lines = [['after', ...found.tasks], ...rows.map((row, i) => [names[i]!, ...row.map(String)])];
  return `${lines.map((line) => line.map((cell) => csvCell(cell, ',')).join(',')).join('\n')}\n`;
}

/** The matrix with the base as its first row. */
export function matrixOf({ base, scores, tasks }: Pick<ContinualScores, 'base' | 'scores' | 'tasks'>): {
  readonly names: readonly string[];
  readonly rows: readonly (readonly number[])[];
} {
  return { names: ['base', ...tasks], rows: [base, ...scores] };
}
