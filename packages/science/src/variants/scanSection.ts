/** @file A mutation scan as a heat map. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';
import type { MutationScan } from './mutationScan.ts';

/**
 * Substitutions as a heat map, a row per residue and a column per position. The wild type's own residues are marked, and the
 * colours part at 0, which is the wild type.
 */
export function scanSection({ sequence, residues, scores }: MutationScan, title: string, text: string): ReportSection {
  const letters = [...sequence];
  const own = letters.flatMap((letter, position) => {
    const row = residues.indexOf(letter);
    return row < 0 ? [] : [[row, position] as const];
  });
  return {
    kind: 'heatmap',
    title,
    text,
    x: 'Position',
    y: 'Residue put in',
    rows: residues,
    columns: letters.map((letter, position) => `${letter}${position + 1}`),
    values: residues.map((_, row) => scores.map((ofPosition) => ofPosition[row]!)),
    centre: 0,
    marked: own,
  };
}
