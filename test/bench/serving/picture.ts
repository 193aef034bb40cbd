/** @file Latency over load as a picture, once for light pages and once for dark ones. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Subject } from './subjects.ts';

/** A server at some rates of requests, and the milliseconds until its answers. */
export interface Loaded {
  readonly name: string;
  readonly points: readonly { readonly perSecond: number; readonly p50: number; readonly p99: number }[];
}

const size = { width: 760, height: 400, left: 64, right: 20, top: 70, bottom: 52 };
const themes = {
  light: { back: '#ffffff', grid: '#e2e8f0', ink: '#1e293b', lines: ['#0f766e', '#2563eb', '#b45309', '#be185d'] },
  dark: { back: '#0f172a', grid: '#334155', ink: '#e2e8f0', lines: ['#2dd4bf', '#60a5fa', '#fbbf24', '#f472b6'] },
};

/** Writes `serving-NAME-light.svg` and `serving-NAME-dark.svg`. */
export async function writePicture(folder: string, { name, title }: Subject, loaded: readonly Loaded[]): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [theme, colours] of Object.entries(themes))
    await writeFile(path.join(folder, `serving-${name}-${theme}.svg`), drawn(title, loaded, colours));
}

function drawn(title: string, loaded: readonly Loaded[], { back, grid, ink, lines }: typeof themes.light): string {
  const points = loaded.flatMap((each) => each.points);
  const most = Math.max(...points.map(({ perSecond }) => perSecond));
  const step = 10 ** Math.floor(Math.log10(most)) * (most / 10 ** Math.floor(Math.log10(most)) > 4 ? 1 : 0.5);
  const xs = Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
  const ends = [Math.min(...points.map(({ p50 }) => p50)), Math.max(...points.map(({ p99 }) => p99))] as const;
  const decades = ends.map(Math.log10).map((each, i) => (i === 0 ? Math.floor(each) : Math.ceil(each))) as [number, number]; // prettier-ignore
  const ys = Array.from({ length: decades[1] - decades[0] + 1 }, (_, i) => 10 ** (decades[0] + i));
  const [right, bottom] = [size.width - size.right, size.height - size.bottom];
  const x = (value: number): string => (size.left + (value / xs.at(-1)!) * (right - size.left)).toFixed(1);
  const y = (value: number): string =>
    (bottom - ((Math.log10(value) - decades[0]) / (decades[1] - decades[0])) * (bottom - size.top)).toFixed(1);
  const line = (side: Loaded, i: number, part: 'p50' | 'p99'): string => {
    const at = side.points.map((point) => [x(point.perSecond), y(point[part])] as const);
    const dash = part === 'p99' ? ' stroke-dasharray="5 4"' : '';
    const dots = at.map(([a, b]) => `<circle cx="${a}" cy="${b}" r="3" fill="${lines[i]}"/>`).join('');
    return `<path d="M${at.map((each) => each.join(' ')).join('L')}" fill="none" stroke="${lines[i]}" stroke-width="2"${dash}/>${dots}`;
  };
  const legend = loaded.map(({ name }, i) => {
    const [left, top] = [size.left + (i % 2) * 340, 34 + Math.floor(i / 2) * 18];
    return `<rect x="${left}" y="${top - 9}" width="10" height="10" rx="2" fill="${lines[i]}"/><text x="${left + 16}" y="${top}">${name}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" width="${size.width}" height="${size.height}" role="img" aria-label="${title}: milliseconds until an answer over answers per second">
<rect width="${size.width}" height="${size.height}" rx="8" fill="${back}"/>
<g font-family="system-ui, sans-serif" font-size="12" fill="${ink}">
<text x="${size.left}" y="16" font-weight="600">${title}: median (solid) and 99th percentile (dashed)</text>
${legend.join('\n')}
${ys.map((each) => `<line x1="${size.left}" x2="${right}" y1="${y(each)}" y2="${y(each)}" stroke="${grid}"/><text x="${size.left - 8}" y="${y(each)}" dy="4" text-anchor="end">${each}</text>`).join('\n')}
${xs.map((each) => `<text x="${x(each)}" y="${bottom + 18}" text-anchor="middle">${Number(each.toPrecision(3))}</text>`).join('\n')}
<text x="${(size.left + right) / 2}" y="${size.height - 10}" text-anchor="middle">answers per second</text>
<text x="16" y="${(size.top + bottom) / 2}" text-anchor="middle" transform="rotate(-90 16 ${(size.top + bottom) / 2})">milliseconds</text>
${loaded.flatMap((side, i) => (side.points.length > 0 ? [line(side, i, 'p50'), line(side, i, 'p99')] : [])).join('\n')}
</g>
</svg>
`;
}
