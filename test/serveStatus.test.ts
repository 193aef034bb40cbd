/** @file The page of a server's state in a browser: models of each kind are tried by its form, and what happened is drawn. */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { openModel } from '@onnx-lora/sdk';
import { randomAdapter } from '@onnx-lora/testing';
import { serve, type Server } from '@onnx-lora/serve';
import { textPlugin } from '@onnx-lora/text';
import { visionPlugin } from '@onnx-lora/vision';
import { type Browser, chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);
const models = fileURLToPath(new URL('../docs/examples/models', import.meta.url));

/** A server of an example's model with an adapter. The folder holds one of another base too, and that is not offered. */
async function server(name: string): Promise<Server> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-page-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const model = await openModel(path.join(models, name), { plugins: [textPlugin, visionPlugin] });
  await (await randomAdapter(model, { seed: 1 })).save(path.join(folder, 'own'));
  const other = await openModel(path.join(models, name === 'vit-mnist' ? 'minilm-tiny' : 'vit-mnist'), { plugins: [textPlugin, visionPlugin] }); // prettier-ignore
  await (await randomAdapter(other, { seed: 1 })).save(path.join(folder, 'other'));
  const running = await serve(model, { port: 0, adapters: folder });
  onTestFinished(() => running.close());
  return running;
}

it('adapters of other bases are listed nowhere, and say why when they are asked for', async () => {
  const { url } = await server('vit-mnist');
  const json = async (address: string, init: RequestInit = {}): Promise<unknown> => (await fetch(`${url}${address}`, init)).json(); // prettier-ignore
  expect(await json('/v1/models')).toMatchObject({ data: [{ id: 'vit-mnist' }, { id: 'vit-mnist:own' }] });
  expect(await json('/adapters')).toMatchObject({ adapters: [{ name: 'own' }] });
  expect(await json('/v2/repository/index', { method: 'POST' })).toMatchObject([{ name: 'vit-mnist' }, { name: 'vit-mnist:own' }]); // prettier-ignore
  expect(await json('/v2/models/vit-mnist:other')).toMatchObject({ code: 'ADAPTER_MISMATCH' });
});

describe.skipIf(executablePath === undefined)('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--headless', '--no-sandbox', '--disable-gpu'],
    });
  }, 60_000);
  afterAll(async () => browser?.close());

  it.each([
    ['vit-mnist', 1280, 'score'],
    ['llama-tiny', 390, ''],
  ] as const)(
    'has %s tried, %d wide',
    async (name, width, said) => {
      const { url } = await server(name);
      const page: Page = await browser.newPage({ viewport: { width, height: 900 } });
      page.setDefaultTimeout(20_000);
      const problems: string[] = [];
      page.on('pageerror', (error) => problems.push(error.message));
      page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())));
      await page.goto(url);
      expect(new URL(page.url()).pathname).toBe('/status');
      await page.getByText('Try it').waitFor();
      if (name === 'vit-mnist') {
        const picture = path.join(mkdtempSync(path.join(tmpdir(), 'onnx-lora-page-')), 'digit.png');
        writeFileSync(picture, await sharp({ create: { width: 28, height: 28, channels: 3, background: '#fff' } }).png().toBuffer()); // prettier-ignore
        await page.getByLabel('A file').setInputFiles(picture);
        onTestFinished(() => rmSync(path.dirname(picture), { recursive: true }));
      } else await page.getByLabel('What you say').fill('In the beginning');
      expect(await page.getByLabel('Adapter', { exact: true }).locator('option').allInnerTexts()).toEqual([`none: ${name} alone`, 'own']); // prettier-ignore
      for (const adapter of ['', 'own']) {
        await page.getByLabel('Adapter', { exact: true }).selectOption(adapter);
        await page.getByRole('button', { name: 'Ask' }).click();
        await page.getByText('with the way there and back').waitFor();
      }
      const told = await page.locator('#try .told').innerText();
      expect(told).toContain(said);
      expect(told).not.toMatch(/does not answer|refused/);
      // The choice stays when the page is rendered again.
      await page.waitForResponse((answer) => answer.url().endsWith('/status.json'));
      await page.waitForTimeout(100);
      expect(await page.getByLabel('Adapter', { exact: true }).inputValue()).toBe('own');
      const drawn = await page.locator('polyline.answered').first().getAttribute('points');
      expect(new Set(drawn!.split(' ').map((point) => point.split(',')[1])).size).toBeGreaterThan(1);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      const shots = process.env['SCREENSHOTS'];
      if (shots !== undefined) await page.screenshot({ path: `${shots}/try-${name}.png`, fullPage: true });
      expect(problems).toEqual([]);
      await page.close();
    },
    120_000,
  );
});
