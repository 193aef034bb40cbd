/** @file Sections of a report: pictures, tables, clips, charts and sequences. */

import type { ReportClip, ReportMark, ReportPicture, ReportSection } from '@onnx-lora/sdk/tasks';
import { short } from '../terminal/table.ts';
import { chart, histogram } from './chart.ts';
import { heatmap } from './heatmap.ts';
import { escapeHtml, page, scrollTable } from './page.ts';
import { letterRows, logo } from './sequences.ts';
import { COLOURS } from './style.ts';

/** Sections of full width. */
const WIDE: ReadonlySet<ReportSection['kind']> = new Set(['gallery', 'clips', 'heatmap', 'letters', 'logo']);
/** Rows of a table before it scrolls. */
const TALL = 12;
/** Characters of a row that fit into half the width. */
const LINE = 60;
/** Columns that fit into half the width. */
const NARROW = 5;

function isWide(section: ReportSection): boolean {
  if (section.kind !== 'table') return WIDE.has(section.kind);
  const isLong = section.rows.some((row) => row.reduce<number>((sum, cell) => sum + String(cell).length, 0) > LINE);
  return isLong || section.columns.length > NARROW;
}

/** A part of a page; two stand side by side where there is room. Title and body are HTML. */
export function part(title: string, html: string, isWide = false): string {
  return `<section class="part${isWide ? ' wide' : ''}">\n<h2>${title}</h2>\n${html}\n</section>`;
}

/** Renders sections. All text is escaped; pictures are embedded. */
export function formatSections(sections: readonly ReportSection[]): string {
  return sections
    .map((section) => {
      const text = section.text === undefined ? '' : `<p class="quiet">${escapeHtml(section.text)}</p>\n`;
      return part(escapeHtml(section.title), `${text}${body(section)}`, isWide(section));
    })
    .join('\n');
}

/** Renders sections as a page. */
export function sectionsPage(title: string, sections: readonly ReportSection[]): string {
  return page(title, `<div class="parts">\n${formatSections(sections)}\n</div>`);
}

function body(section: ReportSection): string {
  switch (section.kind) {
    case 'gallery':
      return `<div class="gallery">\n${section.pictures.map(figure).join('\n')}\n</div>`;
    case 'table':
      return table(section.columns, section.rows);
    case 'clips':
      return clipList(section);
    case 'scatter':
    case 'lines':
      return chart(section, section.title);
    case 'histogram':
      return histogram(section, section.title);
    case 'heatmap':
      return heatmap(section);
    case 'letters':
      return letterRows(section.rows);
    case 'logo':
      return logo(section, section.title);
  }
}

function figure({ image, alt, caption, isWide }: ReportPicture): string {
  return `<figure${isWide ? ' class="wide"' : ''}><img src="data:${mediaType(image)};base64,${base64(image)}" alt="${escapeHtml(alt)}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

const heardMarks: Readonly<Record<ReportMark, string>> = {
  wrong: 'another word in its place',
  missing: 'not heard',
  extra: 'not said',
};
/** Clips under a legend of their marks. */
function clipList({ clips, marks = {} }: Extract<ReportSection, { readonly kind: 'clips' }>): string {
  const pieces = clips.flatMap(({ lines }) => lines.flatMap((line) => line.pieces));
  const used = new Set(pieces.map(({ mark }) => mark));
  const legend = (['wrong', 'missing', 'extra'] as const)
    .filter((mark) => used.has(mark))
    .map((mark) => `<li><mark class="${mark}">${mark}</mark> ${escapeHtml(marks[mark] ?? heardMarks[mark])}</li>`);
  const key = legend.length === 0 ? '' : `<ul class="marks">${legend.join('')}</ul>\n`;
  const labels = new Set(pieces.flatMap(({ label }) => (label === undefined ? [] : [label])));
  const colours = new Map([...labels].sort().map((label, i) => [label, `s${i % COLOURS}`]));
  return `${key}<div class="clips">\n${clips.map((each) => clip(each, colours)).join('\n')}\n</div>`;
}

/** A player with the spoken and the recognised text. Screen readers get the marks. */
function clip({ title, audio, lines }: ReportClip, colours: ReadonlyMap<string, string>): string {
  const player =
    audio === undefined
      ? ''
      : `<audio controls preload="none" aria-label="${escapeHtml(title)}" src="data:audio/wav;base64,${base64(audio)}"></audio>`;
  const text = lines.map(({ label, pieces }) => {
    const marked = pieces.map(({ text: piece, mark, label: name }) => {
      const own = escapeHtml(piece);
      const compared =
        mark === undefined ? own : `<mark class="${mark}"><span class="unseen">${mark}: </span>${own}</mark>`;
      if (name === undefined) return compared;
      return `<mark class="named" style="--own: var(--${colours.get(name)!})">${compared}&nbsp;<small>${escapeHtml(name)}</small></mark>`;
    });
    const said = marked.length === 0 ? '<span class="quiet">(nothing)</span>' : marked.join(' ');
    return `<div><dt>${escapeHtml(label)}</dt><dd>${said}</dd></div>`;
  });
  return `<section><h3>${escapeHtml(title)}</h3>${player}<dl>${text.join('')}</dl></section>`;
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** By the file's signature. */
function mediaType(image: Uint8Array): string {
  if (image[0] === 0xff && image[1] === 0xd8) return 'image/jpeg';
  if (image[0] === 0x52 && image[8] === 0x57) return 'image/webp';
  return 'image/png';
}

function table(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  // Heads of numeric columns are right-aligned.
  const isNumber = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'));
  const cellOf = (cell: string | number): string =>
    typeof cell === 'number' ? `<td class="number">${short(cell)}</td>` : `<td>${escapeHtml(cell)}</td>`;
  const lines = rows.map((row) => `<tr>${row.map(cellOf).join('')}</tr>`);
  return scrollTable(columns, (i) => isNumber[i]!, lines, rows.length > TALL ? 'scroll tall' : 'scroll');
}
