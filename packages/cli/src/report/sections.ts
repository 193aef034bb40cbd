/** @file Sections of the report that the task brings: pictures, tables, scatter plots and lines. */

import type { ReportClip, ReportPicture, ReportSection } from '@onnx-lora/sdk';
import { short } from '../table.ts';
import { chart } from './chart.ts';
import { escapeHtml } from './escape.ts';

/** HTML of all sections. Everything in them is escaped; pictures are kept in the file itself. */
export function formatSections(sections: readonly ReportSection[]): string {
  return sections
    .map((section) => {
      const text = section.text === undefined ? '' : `<p class="quiet">${escapeHtml(section.text)}</p>\n`;
      return `<h2>${escapeHtml(section.title)}</h2>\n${text}${body(section)}`;
    })
    .join('\n');
}

function body(section: ReportSection): string {
  switch (section.kind) {
    case 'gallery':
      return `<div class="gallery">\n${section.pictures.map(figure).join('\n')}\n</div>`;
    case 'table':
      return table(section.columns, section.rows);
    case 'clips':
      return `<div class="clips">\n${section.clips.map(clip).join('\n')}\n</div>`;
    case 'scatter':
    case 'lines':
      return chart(section, section.title);
  }
}

function figure({ image, alt, caption, isWide }: ReportPicture): string {
  const data = Buffer.from(image.buffer, image.byteOffset, image.byteLength).toString('base64');
  return `<figure${isWide ? ' class="wide"' : ''}><img src="data:${mediaType(image)};base64,${data}" alt="${escapeHtml(alt)}"><figcaption>${escapeHtml(caption)}</figcaption></figure>`;
}

/** A player, and below it what was said and heard. */
function clip({ title, audio, lines }: ReportClip): string {
  const player =
    audio === undefined
      ? ''
      : `<audio controls preload="none" src="data:audio/wav;base64,${Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64')}"></audio>`;
  const text = lines.map(({ label, pieces }) => {
    const marked = pieces.map(({ text: piece, mark }) =>
      mark === undefined ? escapeHtml(piece) : `<mark class="${mark}">${escapeHtml(piece)}</mark>`,
    );
    return `<dt>${escapeHtml(label)}</dt><dd>${marked.join(' ')}</dd>`;
  });
  return `<section><h3>${escapeHtml(title)}</h3>${player}<dl>${text.join('')}</dl></section>`;
}

/** By the first bytes of the file. */
function mediaType(image: Uint8Array): string {
  if (image[0] === 0xff && image[1] === 0xd8) return 'image/jpeg';
  if (image[0] === 0x52 && image[8] === 0x57) return 'image/webp';
  return 'image/png';
}

function table(columns: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  // A column of numbers has its head above them.
  const isNumber = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === 'number'));
  const head = columns.map(
    (name, i) => `<th scope="col"${isNumber[i] ? ' class="number"' : ''}>${escapeHtml(name)}</th>`,
  );
  const lines = rows.map(
    (row) =>
      `<tr>${row
        .map((cell) =>
          typeof cell === 'number' ? `<td class="number">${short(cell)}</td>` : `<td>${escapeHtml(cell)}</td>`,
        )
        .join('')}</tr>`,
  );
  return `<div class="scroll"><table>
<thead><tr>${head.join('')}</tr></thead>
<tbody>
${lines.join('\n')}
</tbody></table></div>`;
}
