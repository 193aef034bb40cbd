/**
 * @file Draws what a command printed as a terminal, for the README, once for light pages and once for dark ones:
 * `npm run --silent quickstart | node docs/images/terminal.mjs quickstart '$ npm run quickstart'`
 */

import { writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';

const [, , name = 'terminal', prompt = '$'] = process.argv;
const lines = [prompt, '', ...(await text(process.stdin)).trim().split('\n')];

const size = { font: 14, character: 8.4, line: 20, padding: 20, bar: 36 };
const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * size.character) + 2 * size.padding;
const height = lines.length * size.line + 2 * size.padding + size.bar;
const themes = {
  light: { back: '#f8fafc', bar: '#e2e8f0', edge: '#cbd5e1', ink: '#1e293b', prompt: '#0f766e' },
  dark: { back: '#0f172a', bar: '#1e293b', edge: '#334155', ink: '#e2e8f0', prompt: '#2dd4bf' },
};

for (const [theme, color] of Object.entries(themes)) {
  writeFileSync(new URL(`${name}-${theme}.svg`, import.meta.url), drawn(color));
}

/** @param {typeof themes.light} color */
function drawn(color) {
  const rows = lines.map((line, i) => {
    const y = size.bar + size.padding + i * size.line + size.font;
    // Its own length, so that columns are columns in whichever monospaced font there is.
    const length = (line.length * size.character).toFixed(1);
    const fill = i === 0 ? ` fill="${color.prompt}" font-weight="600"` : '';
    return line && `<text x="${size.padding}" y="${y}" textLength="${length}"${fill}>${escaped(line)}</text>\n`;
  });
  const dots = [0, 1, 2].map((i) => `<circle cx="${22 + i * 18}" cy="18" r="5.5" fill="${color.edge}" />`).join('');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(prompt)}">
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="9.5" fill="${color.back}" stroke="${color.edge}" />
<path d="M1 36V10a9 9 0 0 1 9-9H${width - 10}a9 9 0 0 1 9 9v26z" fill="${color.bar}" />
${dots}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${size.font}" fill="${color.ink}">
${rows.join('')}</g>
</svg>
`;
}

/**
 * No-break spaces, since SVG joins others.
 *
 * @param {string} text
 */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;').replaceAll(' ', '\u00a0');
}
