/** @file Whether a section of a report is what its kind says. */

import type { ReportSection } from '@onnx-lora/sdk/tasks';

type Kind = ReportSection['kind'];

/** What the parts of a section must fit, beside that all numbers are finite. */
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

/** What is wrong with a section, each beginning with its title. */
export function sectionProblems(section: ReportSection): string[] {
  const { kind, title } = section;
  if (!Object.hasOwn(shapes, kind))
    return [`"${title}" is of the unknown kind "${String(kind)}": kinds are ${Object.keys(shapes).join(', ')}`];
  const shape = shapes[kind] as (section: ReportSection) => string[];
  const problems = [...shape(section), ...numberProblems('', section)].map((each) => `"${title}": ${each}`);
  return title.trim() === '' ? ['a section has no title', ...problems] : problems;
}

/** `row 2 has 3 cells for 4 columns`. */
function lengthProblems(
  begin: string,
  { length }: readonly unknown[],
  things: string,
  wanted: number,
  others: string,
): string[] {
  return length === wanted ? [] : [`${begin} ${length} ${things} for ${wanted} ${others}`];
}

/** Numbers that are none, by where they are: `rows[0][2] is NaN`. */
function numberProblems(at: string, value: unknown): string[] {
  if (typeof value === 'number') return Number.isFinite(value) ? [] : [`${at} is ${value}`];
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return [];
  return Object.entries(value).flatMap(([key, each]) => {
    const name = Array.isArray(value) ? `[${key}]` : `${at === '' ? '' : '.'}${key}`;
    return numberProblems(`${at}${name}`, each);
  });
}
