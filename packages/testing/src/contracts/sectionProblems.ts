/** @file Validates report sections. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';

type Kind = ReportSection['kind'];

const shapes: { readonly [K in Kind]: (section: Extract<ReportSection, { readonly kind: K }>) => string[] } = {
  gallery: ({ pictures }) =>
    pictures.flatMap(({ image, alt }, i) => [
      ...(image.length > 0 ? [] : [`picture ${i + 1} is empty`]),
      ...(alt.trim() === '' ? [`picture ${i + 1} has no alt`] : []),
    ]),
  table: ({ columns, rows }) =>
    rows.flatMap((row, i) => lengthProblems(`row ${i + 1} has`, row, 'cells', columns.length, 'columns')),
  clips: () => [],
  scatter: () => [],
  lines: () => [],
  histogram: ({ borders, counts }) => lengthProblems('it has', borders, 'borders', counts.length + 1, 'ends of bins'),
  heatmap: ({ rows, columns, values }) => [
    ...lengthProblems('it has', values, 'rows of values', rows.length, 'rows'),
    ...values.flatMap((row, i) => lengthProblems(`row ${i + 1} has`, row, 'values', columns.length, 'columns')),
  ],
  letters: ({ rows }) =>
    rows.flatMap(({ title, text, values }) =>
      values ? lengthProblems(`"${title}" has`, values, 'values', text.length, 'letters') : [],
    ),
  logo: () => [],
};

/** Problems of a section, each with its title. */
export function sectionProblems(section: ReportSection): string[] {
  const { kind, title } = section;
  if (!Object.hasOwn(shapes, kind))
    return [`"${title}" is of the unknown kind "${String(kind)}": kinds are ${Object.keys(shapes).join(', ')}`];
  const shape = shapes[kind] as (section: ReportSection) => string[];
  const problems = [...shape(section), ...numberProblems('', section)].map((each) => `"${title}": ${each}`);
  return title.trim() === '' ? ['a section has no title', ...problems] : problems;
}

/** A mismatch of lengths: `row 2 has 3 cells for 4 columns`. */
function lengthProblems(
  begin: string,
  { length }: readonly unknown[],
  things: string,
  wanted: number,
  others: string,
): string[] {
  return length === wanted ? [] : [`${begin} ${length} ${things} for ${wanted} ${others}`];
}

/** Numbers that are not finite, with their paths: `rows[0][2] is NaN`. */
function numberProblems(at: string, value: unknown): string[] {
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [`${at} is ${value}`];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.entries(value).flatMap(([key, each]) => {
    const name = Array.isArray(value) ? `[${key}]` : `${at === '' ? '' : '.'}${key}`;
    return numberProblems(`${at}${name}`, each);
  });
}
