/** @file Confusion matrices: a table; for more classes a grid of colours and the worst mix-ups. */

import type { Evaluation } from '@onnx-lora/sdk';
import { escapeHtml, scrollTable } from './page.ts';

/** Most classes that fit on a phone. */
const MOST_IN_TABLE = 10;
/** Limits for names of classes and numbers in cells. */
const MOST_NAMED = 40;
const MOST_NUMBERED = 25;
/** Most classes that a grid can show. */
const MOST_CLASSES = 200;
const SHOWN_MIX_UPS = 10;

type Confusion = NonNullable<Evaluation['confusion']>;

/** Renders counts `[true class, predicted class]`. */
export function confusionTable({ labels, counts }: Confusion): string {
  if (labels.length <= MOST_IN_TABLE) return matrix(labels, counts);
  const grid = labels.length <= MOST_CLASSES ? `${cells(labels, counts)}\n` : '';
  return grid + mixUps(labels, counts);
}

function matrix(labels: readonly string[], counts: readonly (readonly number[])[]): string {
  const head = labels.map((label) => `<th scope="col">${escapeHtml(label)}</th>`).join('');
  const rows = labels.map((label, truth) => {
    const row = counts[truth] ?? [];
    const total = totalOf(row);
    const cellsOfRow = row.map((count, predicted) => {
      const share = total === 0 ? 0 : count / total;
      const kind = predicted === truth ? 'hit' : 'miss';
      // Zeros stay empty, so that counts stand out.
      return `<td class="${kind}" style="--share:${share.toFixed(3)}">${count === 0 ? '' : count}</td>`;
    });
    return `<tr><th scope="row">${escapeHtml(label)}</th>${cellsOfRow.join('')}<td class="recall">${recall(row, truth)}</td></tr>`;
  });
  return `<div class="scroll"><table class="confusion">
<thead><tr><th scope="col">true&nbsp;\\&nbsp;said</th>${head}<th scope="col">right</th></tr></thead>
<tbody>
${rows.join('\n')}
</tbody></table></div>`;
}

const width = 560;
const names = 96;
const right = 46;

/** A grid of colours, a row per true class; empty cells are left out. */
function cells(labels: readonly string[], counts: readonly (readonly number[])[]): string {
  const isNamed = labels.length <= MOST_NAMED;
  const [left, top, end] = isNamed ? [names, names, right] : [18, 18, 4];
  const size = (width - left - end) / labels.length;
  const font = Math.min(12, size * 0.72).toFixed(1);
  const at = (i: number, from: number): string => (from + i * size).toFixed(1);
  const middle = (i: number, from: number): string => (from + (i + 0.5) * size).toFixed(1);
  const height = (top + size * labels.length + 4).toFixed(0);
  const shapes = labels.flatMap((label, truth) => {
    const row = counts[truth] ?? [];
    const total = totalOf(row);
    return row.flatMap((count, predicted) => {
      if (count === 0) return [];
      const share = count / total;
      const title = `true ${label}, predicted ${labels[predicted]}: ${count} of ${total}`;
      const kind = predicted === truth ? 'hit' : 'miss';
      const number =
        labels.length <= MOST_NUMBERED
          ? `<text x="${middle(predicted, left)}" y="${middle(truth, top)}" dy=".35em" text-anchor="middle">${count}</text>`
          : '';
      // A single mix-up must stay visible.
      const opacity = (
        predicted === truth ? 0.06 + 0.6 * share : isNamed ? 0.15 + 0.7 * share : 0.45 + 0.5 * share
      ).toFixed(2);
      return [
        `<g><title>${escapeHtml(title)}</title><rect class="${kind}" x="${at(predicted, left)}" y="${at(truth, top)}" width="${size.toFixed(1)}" height="${size.toFixed(1)}" fill-opacity="${opacity}"/>${number}</g>`,
      ];
    });
  });
  const words = isNamed
    ? labels.map((label, i) => {
        const name = escapeHtml(short(label));
        return `<text x="${left - 6}" y="${middle(i, top)}" dy=".35em" text-anchor="end">${name}</text><text transform="translate(${middle(i, left)} ${top - 6}) rotate(-60)" dy=".35em">${name}</text><text class="recall" x="${width}" y="${middle(i, top)}" dy=".35em" text-anchor="end">${recall(counts[i] ?? [], i)}</text>`;
      })
    : [
        `<text x="${left}" y="12">predicted →</text><text transform="translate(12 ${top}) rotate(-90)" text-anchor="end">true →</text>`,
      ];
  return `<svg class="confusion" viewBox="0 0 ${width} ${height}" role="img" aria-label="Confusion matrix of ${labels.length} classes." style="--font:${isNamed ? font : 12}px">
<rect class="ground" x="${left}" y="${top}" width="${(size * labels.length).toFixed(1)}" height="${(size * labels.length).toFixed(1)}"/>
${[...words, ...shapes].join('\n')}
</svg>`;
}

/** Shortens long names; tooltips have them whole. */
function short(label: string): string {
  const letters = [...label];
  return letters.length > 13 ? `${letters.slice(0, 12).join('')}…` : label;
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
  const table = scrollTable(['true', 'said', 'times'], () => false, rows);
  return `<p class="quiet">${labels.length} classes; the most frequent mix-ups:</p>\n${table}`;
}

function totalOf(row: readonly number[]): number {
  return row.reduce((sum, count) => sum + count, 0);
}

function recall(row: readonly number[], truth: number): string {
  const total = totalOf(row);
  return total === 0 ? '–' : `${((100 * (row[truth] ?? 0)) / total).toFixed(0)}%`;
}
