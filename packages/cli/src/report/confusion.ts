/** @file The confusion matrix as a table, or as its worst mix-ups where there are too many classes for one. */

import type { Evaluation } from '@onnx-lora/sdk';
import { escapeHtml } from './escape.ts';

/** A wider table helps nobody. */
const MOST_CLASSES = 25;
const SHOWN_MIX_UPS = 20;

/** HTML for counts `[true class, predicted class]`. */
export function confusionTable({ labels, counts }: NonNullable<Evaluation['confusion']>): string {
  return labels.length <= MOST_CLASSES ? matrix(labels, counts) : mixUps(labels, counts);
}

function matrix(labels: readonly string[], counts: readonly (readonly number[])[]): string {
  const head = labels.map((label) => `<th scope="col">${escapeHtml(label)}</th>`).join('');
  const rows = labels.map((label, truth) => {
    const row = counts[truth] ?? [];
    const total = row.reduce((sum, count) => sum + count, 0);
    const cells = row.map((count, predicted) => {
      const share = total === 0 ? 0 : count / total;
      const kind = predicted === truth ? 'hit' : 'miss';
      // Zeros are left out, so that what happened stands out.
      return `<td class="${kind}" style="--share:${share.toFixed(3)}">${count === 0 ? '' : count}</td>`;
    });
    const recall = total === 0 ? '–' : `${((100 * (row[truth] ?? 0)) / total).toFixed(0)}%`;
    return `<tr><th scope="row">${escapeHtml(label)}</th>${cells.join('')}<td class="recall">${recall}</td></tr>`;
  });
  return `<div class="scroll"><table class="confusion">
<thead><tr><th scope="col">true&nbsp;\\&nbsp;said</th>${head}<th scope="col">right</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

function mixUps(labels: readonly string[], counts: readonly (readonly number[])[]): string {
  const all = counts.flatMap((row, truth) => row.map((count, predicted) => ({ truth, predicted, count })));
  const worst = all
    .filter(({ truth, predicted, count }) => truth !== predicted && count > 0)
    .sort((a, b) => b.count - a.count)
    .slice(0, SHOWN_MIX_UPS);
  if (worst.length === 0) return `<p>All ${labels.length} classes are told apart.</p>`;
  const rows = worst.map(
    ({ truth, predicted, count }) =>
      `<tr><td>${escapeHtml(labels[truth]!)}</td><td>${escapeHtml(labels[predicted]!)}</td><td class="number">${count}</td></tr>`,
  );
  return `<p class="quiet">${labels.length} classes; the most frequent mix-ups:</p>
<div class="scroll"><table><thead><tr><th scope="col">true</th><th scope="col">said</th><th scope="col">times</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}
