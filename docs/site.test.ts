/** @file The site that `npm run docs` built, also in a real browser without a network. Only `npm run docs:check` runs this. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { linksIn, readPages, sidebarOf } from './.vitepress/pages.ts';
import { brokenLinks, fileAt, filesIn } from './site/links.ts';

const dist = fileURLToPath(new URL('.vitepress/dist', import.meta.url));
const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);
// Any other run of the tests may come before the site is built.
const isAsked = process.env['npm_lifecycle_event'] === 'docs:check';
const files = new Set(isAsked ? filesIn(dist) : []);
const links = linksIn(sidebarOf(readPages()));

const origin = 'http://site.test';
const desktop = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };

describe.skipIf(!isAsked)('the built site', () => {
  test('has every page in the sidebar', () => {
    const listed = new Set(links.map((link) => fileAt(files, link)));
    const left = [...files].filter(
      (file) => /^(?!404|index|reference\/api\/).*\.html$/.test(file) && !listed.has(file),
    );
    expect(left).toEqual([]);
  });

  test('has no broken link', () => {
    expect(brokenLinks(dist)).toEqual([]);
  }, 120_000);
});

describe.skipIf(!isAsked || executablePath === undefined)('the built site in a browser', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  });
  afterAll(async () => browser?.close());

  const pages = ['/', ...shown()];
  const looks = pages.flatMap((path) =>
    (['light', 'dark'] as const).flatMap((scheme) => [
      [path, 'desktop', scheme, desktop] as const,
      [path, 'phone', scheme, phone] as const,
    ]),
  );

  test.each(looks)('%s on a %s, %s, is sound', async (path, device, colorScheme, viewport) => {
    const { page, wrong } = await open(path, viewport, colorScheme);
    expect(await page.locator('h1').first().isVisible()).toBe(true);
    expect(await isDark(page)).toBe(colorScheme === 'dark');
    expect(await widthOf(page)).toBeLessThanOrEqual(viewport.width);
    expect(await violations(page)).toEqual([]);
    // To be judged by eye.
    const shots = process.env['SCREENSHOTS'];
    if (shots !== undefined) {
      const name = `${path.replaceAll('/', '-').slice(1) || 'home'}-${device}-${colorScheme}.png`;
      await page.screenshot({ path: join(shots, name), fullPage: true });
    }
    expect(wrong).toEqual([]);
    await page.context().close();
  });

  test('no page is wider than a phone', async () => {
    const { page, wrong } = await open('/', phone);
    const wide: string[] = [];
    for (const link of links) {
      await page.goto(origin + link);
      await isAlive(page);
      if ((await widthOf(page)) > phone.width) wide.push(link);
    }
    expect(wide).toEqual([]);
    expect(wrong).toEqual([]);
  }, 300_000);

  test.each([
    ['targetModules', /LoraOptions/],
    ['whisper', /\/guides\/speech-/],
    ['TARGET_NOT_FOUND', /\/reference\/errors/],
    ['rank', /\/guides\//],
  ])('a search for %s finds its page', async (words, expected) => {
    expect((await search(words)).slice(0, 5)).toContainEqual(expect.stringMatching(expected));
  });

  test.each(['overfitting', 'resume', 'Windows'])('a search for %s finds a guide first', async (words) => {
    const found = await search(words);
    expect(found[0]).toMatch(/\/guides\//);
  });

  test('a page that is not there is said to be missing, with a way home', async () => {
    const { page } = await open('/guides/nowhere', desktop);
    expect(await page.locator('h1').textContent()).toBe('There is no such page');
    await page.click('text=To the home page');
    await page.waitForURL(`${origin}/`);
  });

  /** Addresses of what a search finds, best first. */
  async function search(words: string): Promise<string[]> {
    const { page, wrong } = await open('/', desktop);
    await page.click('.VPNavBarSearch button');
    await page.fill('#localsearch-input', words);
    await page.waitForSelector('#localsearch-list a.result');
    const found = (await page.evaluate(
      "[...document.querySelectorAll('#localsearch-list a.result')].map((each) => each.href)",
    )) as string[];
    expect(wrong).toEqual([]);
    await page.context().close();
    return found;
  }

  /** A page of the site, with whatever goes wrong in it. Files come from the folder; nothing goes to a network. */
  async function open(
    path: string,
    viewport: { width: number; height: number },
    colorScheme: 'light' | 'dark' = 'light',
  ): Promise<{ page: Page; wrong: string[] }> {
    const wrong: string[] = [];
    const context = await browser.newContext({ viewport, colorScheme, offline: true });
    await context.route('**/*', async (route) => {
      const url = new URL(route.request().url());
      const file = url.origin === origin ? fileAt(files, url.pathname) : undefined;
      if (file !== undefined) return route.fulfill({ path: join(dist, file) });
      wrong.push(`${url.href} was asked for`);
      return route.fulfill({ status: 404, path: join(dist, '404.html') });
    });
    const page = await context.newPage();
    page.on('console', (message) => wrong.push(message.text()));
    page.on('pageerror', (error) => wrong.push(error.message));
    await page.goto(origin + path);
    await isAlive(page);
    return { page, wrong };
  }
});

/** A page of each kind: of the SDK's reference, and the first of each section. */
function shown(): string[] {
  const first = sidebarOf(readPages()).map(({ items = [] }) => linksIn(items)[0]!);
  return [
    ...first,
    '/guides/sequence-metrics',
    '/reference/api/@onnx-lora/sdk/index/functions/train',
    '/sources/quickstart',
  ];
}

/** Waits until the page's scripts have taken over what the server sent. */
async function isAlive(page: Page): Promise<void> {
  await page.waitForFunction("document.querySelector('#app')?.__vue_app__ !== undefined");
}

async function isDark(page: Page): Promise<boolean> {
  return page.evaluate("document.documentElement.classList.contains('dark')");
}

/** How wide all that can be scrolled to is. */
async function widthOf(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth');
}

/** Barriers by WCAG 2.1 AA for readers who see little or use a keyboard: contrast, names of buttons and the like. */
async function violations(page: Page): Promise<unknown> {
  await page.addScriptTag({ path: fileURLToPath(import.meta.resolve('axe-core/axe.min.js')) });
  return page.evaluate(`axe
    .run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa'],
      // VitePress's groups in the sidebar are buttons that hold a button.
      rules: { 'nested-interactive': { enabled: false } },
    })
    .then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.length, nodes[0].html, nodes[0].failureSummary]))`);
}
