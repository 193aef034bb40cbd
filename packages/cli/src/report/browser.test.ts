/** @file Opens a report in a real browser: nothing goes wrong there, and nothing is wider than a phone. */

import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { ReportSection } from '@onnx-lora/sdk/tasks';
import { type Browser, chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { callJson, temporaryFolder, vit } from '../../fixtures/call.ts';
import { RunHistory } from '../run/history.ts';
import { formatReport, type ReportContent } from './html.ts';

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);

const screens = [
  ['phone', { width: 360, height: 740 }, 'dark'],
  ['desktop', { width: 1280, height: 900 }, 'light'],
] as const;

let browser: Browser;
beforeAll(async () => {
  if (executablePath === undefined) return;
  browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
});
afterAll(async () => browser?.close());

it.skipIf(executablePath === undefined)(
  'a report opens in a browser, on a phone and on a desktop',
  async () => {
    const folder = temporaryFolder();
    const data = path.join(folder, 'digits');
    writeDigits(path.join(data, 'train'), { perClass: 4, turned: true });
    writeDigits(path.join(data, 'test'), { perClass: 2, from: 820, turned: true });
    const { report } = await callJson<{ report: string }>(
    'train', vit, '--data', data, '--out', path.join(folder, 'run'), '--steps', '6', '--batch-size', '10', '--threads', '1',
  ); // prettier-ignore
    for (const screen of screens) expect(await look(report, screen, 'image-classification')).toEqual([]);
  },
  120_000,
);

it.skipIf(executablePath === undefined)(
  'recordings are played by the report alone, and long words of a transcript wrap',
  async () => {
    const report = path.join(temporaryFolder(), 'report.html');
    writeFileSync(report, formatReport({ ...nothing, sections: [clips] }));
    for (const screen of screens) {
      expect(await look(report, screen, 'speech-recognition')).toEqual([]);
    }
    const page = await browser.newPage({ offline: true });
    await page.goto(pathToFileURL(report).href);
    const played = await page.evaluate(`new Promise((resolve) => {
      const audio = document.querySelector('audio');
      audio.onloadedmetadata = () => resolve(audio.duration);
      audio.onerror = () => resolve(audio.error.message);
      audio.load();
    })`);
    expect(played).toBe(0.5);
  },
  60_000,
);

it.skipIf(executablePath === undefined)(
  'sequences, maps of mutations and charts fit a phone, and their cells tell their numbers',
  async () => {
    const report = path.join(temporaryFolder(), 'report.html');
    const settings = { ...nothing.settings, task: 'sequence-regression' as const };
    const history = new RunHistory();
    for (const step of [1, 20_000]) {
      history.add({ type: 'step', step, steps: 20_000, epoch: 1, loss: 1 / step, lr: 0.1, gradNorm: 1, samplesPerSecond: 1, secondsLeft: 0, memory: 1 }); // prettier-ignore
    }
    writeFileSync(report, formatReport({ ...nothing, settings, history, sections: sequenceSections }));
    for (const screen of screens) expect(await look(report, screen, 'sequence-regression')).toEqual([]);
    const page = await browser.newPage({ viewport: screens[0][1], offline: true });
    await page.goto(pathToFileURL(report).href);
    // The names of the rows stay in sight while the map scrolls under them.
    const [moved, stays, title] = (await page.evaluate(`(() => {
      const table = document.querySelector('table.heatmap');
      const before = table.querySelector('tbody th').getBoundingClientRect().left;
      table.parentElement.scrollLeft = 300;
      const [name, cell] = table.querySelectorAll('tbody th, tbody td');
      return [table.parentElement.scrollLeft, name.getBoundingClientRect().left - before, cell.title];
    })()`)) as [number, number, string];
    expect(moved).toBe(300);
    // The space between cells.
    expect(Math.abs(stays)).toBeLessThanOrEqual(1);
    expect(title).toBe('A, 1: −3');
    // Letters of a block stand above their lines, and wrap with them.
    const heights = (await page.evaluate(
      `[...document.querySelectorAll('.blocks')].map((blocks) => new Set([...blocks.children].map((each) => each.offsetTop)).size)`,
    )) as number[];
    expect(Math.min(...heights)).toBeGreaterThan(1);
    const logo = (await page.evaluate(
      `[...document.querySelectorAll('svg.logo text.s2')].map((each) => each.getBoundingClientRect().height > 1)`,
    )) as boolean[];
    expect(logo.length > 0 && logo.every(Boolean)).toBe(true);
  },
  60_000,
);

it.skipIf(executablePath === undefined)(
  'entities keep their label beside them, legible in both themes, and long names of metrics leave room for the change',
  async () => {
    const report = path.join(temporaryFolder(), 'report.html');
    const settings = { ...nothing.settings, task: 'token-classification' as const };
    const measured = (step: number): NonNullable<ReportContent['before']> => {
      return { step, metrics: { balancedAccuracy: 0.2739 + step / 1e5, mcc: -0.02372 - step / 7919 }, intervals: { balancedAccuracy: [0.1981, 0.3482], mcc: [-0.1104, -0.0711] }, examples: 168 }; // prettier-ignore
    };
    const content = { ...nothing, settings, before: measured(0), after: measured(60), sections: [entities] };
    writeFileSync(report, formatReport(content));
    for (const screen of screens) {
      expect(await look(report, screen, 'token-classification')).toEqual([]);
      const page = await browser.newPage({ viewport: screen[1], colorScheme: screen[2], bypassCSP: true });
      await page.goto(pathToFileURL(report).href);
      await page.addScriptTag({ path: fileURLToPath(import.meta.resolve('axe-core/axe.min.js')) });
      const low = (await page.evaluate(
        `axe.run('.clips', { runOnly: ['color-contrast'] }).then(({ violations }) => violations.flatMap(({ nodes }) => nodes.map(({ html }) => html)))`,
      )) as string[];
      expect(low).toEqual([]);
      // The top of the last letter of a name, and of its label.
      const gaps = (await page.evaluate(
        `[...document.querySelectorAll('mark.named small')].map((label) => {
          const before = label.previousSibling;
          const text = before.data === '\u00a0' ? before.previousSibling.lastChild : before;
          const range = document.createRange();
          const end = text.data.trimEnd().length;
          range.setStart(text, end - 1);
          range.setEnd(text, end);
          return label.getBoundingClientRect().top - range.getBoundingClientRect().top;
        })`,
      )) as number[];
      expect(gaps).toHaveLength(4 * 2 * 14);
      expect(gaps.every((gap) => Math.abs(gap) < 8)).toBe(true);
    }
  },
  60_000,
);

const entities: ReportSection = {
  kind: 'clips',
  title: 'Texts with the most mistakes',
  clips: [undefined, 'missing', 'wrong', 'extra'].map((mark, i) => ({
    title: `${i}: 1 mistake`,
    lines: ['expected', 'found'].map((label) => ({
      label,
      pieces: Array.from({ length: 14 }, (_, kind) => [
        { text: 'how can I send my' },
        { text: 'mobile phone', label: `KIND${kind}`, ...(mark !== undefined && { mark: mark as 'extra' }) },
      ]).flat(),
    })),
  })),
};

const residues = [...'ACDEFGHIKLMNPQRSTVWY'];
const protein = 'MQYKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE';
const curve = (at: number): readonly (readonly [number, number])[] =>
  Array.from({ length: 30 }, (_, i) => [i / 29, (i / 29) ** at]);
const sequenceSections: readonly ReportSection[] = [
  {
    kind: 'scatter',
    title: 'Predicted and measured: fitness',
    text: 'On the dashed line both are the same.',
    x: 'measured fitness',
    y: 'predicted fitness',
    diagonal: true,
    series: [{ name: 'fitness', points: Array.from({ length: 150 }, (_, i) => [Math.sin(i) * 3, Math.sin(i) * 2 + Math.cos(7 * i)] as const) }], // prettier-ignore
  },
  {
    kind: 'histogram',
    title: 'Errors: fitness',
    x: 'predicted − measured fitness',
    borders: Array.from({ length: 26 }, (_, i) => -1.2 + i / 10),
    counts: Array.from({ length: 25 }, (_, i) => Math.round(80 * Math.exp(-(((i - 11) / 4) ** 2)))),
  },
  {
    kind: 'lines',
    title: 'ROC curves',
    x: 'false positive rate',
    y: 'true positive rate',
    diagonal: true,
    series: [
      { name: 'kinase (0.91)', points: curve(0.2) },
      { name: 'globin (0.74)', points: curve(0.5) },
    ],
  },
  {
    kind: 'heatmap',
    title: 'Every substitution',
    text: 'Below 0 a substitution is less likely than the residue that is there.',
    x: 'position',
    y: 'residue',
    rows: residues,
    columns: [...protein].map((_, i) => String(i + 1)),
    values: residues.map(
      (residue, row) =>
      [...protein].map((letter, i) => (letter === residue ? 0 : i === 20 && row > 15 ? null : -3 + ((row * 7 + i * 5) % 11) / 2)), // prettier-ignore
    ),
    centre: 0,
    marked: [...protein].map((letter, i) => [residues.indexOf(letter), i] as const),
  },
  {
    kind: 'heatmap',
    title: 'From the least to the most',
    x: 'column',
    y: 'row',
    rows: ['a', 'b'],
    columns: ['1', '2', '3'],
    values: [
      [0, 1, 2],
      [3, 4, 5],
    ],
  },
  {
    kind: 'letters',
    title: 'Structure',
    rows: [
      {
        title: 'sp|P69905|HBA_HUMAN, 78% right',
        text: protein,
        values: [...protein].map((_, i) => (i % 12) / 11),
        below: [
          { label: 'true', text: 'CCEEEEEEECSSCEEEEEEECSHHHHHHHHHHHHHHTTCCCEEEEETTTTEEEEEC' },
          { label: 'said', text: 'CCEEEEEEECCCCEEEEEECCSHHHHHHHHHHHHHTTTCCCEEEEECCTTEEEEEC' },
        ],
      },
      { title: 'DNA', text: 'ACGT'.repeat(30) },
    ],
  },
  {
    kind: 'logo',
    title: 'Best variants',
    x: 'position',
    y: 'bits',
    columns: Array.from({ length: 40 }, (_, i) => ({
      label: String(39 + i),
      letters: [0, 1, 2].map((j) => ({ letter: residues[(i * 3 + j) % 20]!, height: ((i % 5) + 1) * (j + 1) * 0.12 })),
    })),
  },
];

/** Half a second of 8 kHz. */
function tone(): Uint8Array {
  const samples = Int16Array.from({ length: 4000 }, (_, i) => 8000 * Math.sin(i / 3));
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(8000, 24);
  header.writeUInt32LE(16_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer)]);
}

const clips: ReportSection = {
  kind: 'clips',
  title: 'Recordings with most mistakes',
  clips: ['rec/0001.wav', `${'long'.repeat(30)}.wav`].map((title) => ({
    title,
    audio: tone(),
    lines: [
      { label: 'said', pieces: [{ text: 'marque siete para recuperar el mensaje' }] },
      {
        label: 'heard',
        pieces: [
          { text: 'marche', mark: 'extra' },
          { text: 'x'.repeat(80), mark: 'wrong' },
          { text: 'para' },
          { text: 'el mensaje', mark: 'missing' },
        ],
      },
    ],
  })),
};

const nothing: Omit<ReportContent, 'sections'> = {
  model: { name: 'model', family: undefined, parameters: 1000 },
  settings: { model: 'model', data: 'data', task: 'speech-recognition', out: 'out' },
  command: 'onnx-lora train model --data data',
  history: new RunHistory(),
  made: 1,
  endedBy: 'steps',
  planned: 1,
  seconds: 1,
  provider: 'cpu',
  trainableParameters: 10,
  modules: ['q'],
  before: undefined,
  after: undefined,
  date: new Date(0),
  runtime: 'Node',
};

async function look(
  report: string,
  [name, viewport, colorScheme]: (typeof screens)[number],
  title: string,
): Promise<string[]> {
  const page = await browser.newPage({ viewport, colorScheme, offline: true });
  const wrong: string[] = [];
  page.on('console', (message) => wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('requestfailed', (request) => wrong.push(request.url()));
  await page.goto(pathToFileURL(report).href);
  expect(await page.title()).toContain(title);
  // Wide tables scroll by themselves; the page does not.
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width);
  // All columns of the metrics are visible at once, except on a phone: the last one matters most.
  const hidden = `[...document.querySelectorAll('.scroll')].filter((each) => each.querySelector('.interval') && each.scrollWidth > each.clientWidth).length`;
  if (viewport.width > 500) expect(await page.evaluate(hidden)).toBe(0);
  const shown = await page.evaluate(
    '[...document.images].every(({ complete, naturalWidth }) => complete && naturalWidth > 0)',
  );
  expect(shown).toBe(true);
  const [ink, ground] = (await page.evaluate(
    '[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]',
  )) as [string, string];
  const light = (colour: string): number => Number(/\d+/.exec(colour)![0]);
  expect(light(ink) > light(ground)).toBe(colorScheme === 'dark');
  // Nothing that a plot says is cut at its edge.
  const cut = (await page.evaluate(`[...document.querySelectorAll('svg text')].filter((text) => {
    const [own, picture] = [text, text.ownerSVGElement].map((each) => each.getBoundingClientRect());
    return own.width > 0 && (own.left < picture.left - 1 || own.right > picture.right + 1);
  }).map((text) => text.textContent)`)) as string[];
  expect(cut).toEqual([]);
  // To be judged by eye.
  const shots = process.env['SCREENSHOTS'];
  if (shots !== undefined)
    await page.screenshot({ path: path.join(shots, `report-${title}-${name}.png`), fullPage: true });
  return wrong;
}
