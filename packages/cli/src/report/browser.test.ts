/** @file Opens a report in a real browser: nothing goes wrong there, and nothing is wider than a phone. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);

const screens = [
  ['phone', { width: 360, height: 740 }, 'dark'],
  ['desktop', { width: 1280, height: 900 }, 'light'],
] as const;

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
    const browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
    try {
      for (const screen of screens) expect(await look(browser, report, screen)).toEqual([]);
    } finally {
      await browser.close();
    }
  },
  120_000,
);

async function look(
  browser: Browser,
  report: string,
  [name, viewport, colorScheme]: (typeof screens)[number],
): Promise<string[]> {
  const page = await browser.newPage({ viewport, colorScheme, offline: true });
  const wrong: string[] = [];
  page.on('console', (message) => wrong.push(message.text()));
  page.on('pageerror', (error) => wrong.push(error.message));
  page.on('requestfailed', (request) => wrong.push(request.url()));
  await page.goto(pathToFileURL(report).href);
  expect(await page.title()).toContain('image-classification');
  // Wide tables scroll by themselves; the page does not.
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width);
  const shown = await page.evaluate(
    '[...document.images].every(({ complete, naturalWidth }) => complete && naturalWidth > 0)',
  );
  expect(shown).toBe(true);
  const [ink, ground] = (await page.evaluate(
    '[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]',
  )) as [string, string];
  const light = (colour: string): number => Number(/\d+/.exec(colour)![0]);
  expect(light(ink) > light(ground)).toBe(colorScheme === 'dark');
  // To be judged by eye.
  const shots = process.env['SCREENSHOTS'];
  if (shots !== undefined) await page.screenshot({ path: path.join(shots, `report-${name}.png`), fullPage: true });
  return wrong;
}
