/** @file The page of a server's state, in a real browser: what it shows, to whom, and that names are never more than names. */

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { rowsOf, type SmallServer, smallServer } from '../../../fixtures/smallServer.ts';
import { type AdapterCatalog, noSuchAdapter } from '../../adapters/catalog.ts';
import type { ServerStatus } from './serverStatus.ts';

const executablePath = [process.env['CHROMIUM'], '/usr/bin/chromium', '/usr/bin/google-chrome'].find(
  (file) => file !== undefined && existsSync(file),
);

const ops = { tenant: 'ops', sha256: '2c69bc9111c27110a9b9a7974ba3f8ac0c053c16b23a0738115ee829fbc4d57b', admin: true };
const shop = { tenant: 'shop', sha256: '44cfdcdd88354fa1412781f5a01a901c9112db33bfa8b165fbec9b618d9cf112' };

/** A name with markup, and one too long for a line. */
const evil = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
const strange: AdapterCatalog = {
  resolve: async (name) => {
    throw noSuchAdapter(name);
  },
  list: async () => [
    { key: 'evil@1', name: evil, version: evil, digest: evil, bytes: 5 * 2 ** 20 },
    { key: 'long@1', name: 'long-'.repeat(25), version: '1', digest: 'ab'.repeat(32), bytes: 1 },
  ],
  load: async (key) => {
    throw noSuchAdapter(key);
  },
};

async function statusOf({ ask }: SmallServer, headers: Record<string, string> = {}): Promise<ServerStatus> {
  return (await (await ask('/status.json', { headers })).json()) as ServerStatus;
}

describe('what the page is made from', () => {
  it('is what has happened', async () => {
    const server = await smallServer({ queue: { maxWaitingRows: 4 } });
    await server.infer('net:a0', rowsOf(2, 1));
    await server.infer('net', rowsOf(1, 2));
    await server.infer('net:none', rowsOf(1, 2));
    const asked = await Promise.all(Array.from({ length: 40 }, (_, i) => server.infer('net:a1', rowsOf(2, i))));
    const refused = asked.filter(({ status }) => status === 429).length;
    const status = await statusOf(server);
    expect(status.server).toMatchObject({ name: 'net', ready: true, digest: await server.model.digest() });
    expect(status.adapters.map(({ name, loaded, current }) => [name, loaded, current])).toEqual([
      ['a0', true, true],
      ['a1', true, true],
      ['a2', false, true],
    ]);
    const inferred = status.answers.filter(({ route }) => route === 'POST /v2/models/:model/infer');
    expect(Object.fromEntries(inferred.map((each) => [each.status, each.count]))).toEqual({
      200: 42 - refused,
      404: 1,
      429: refused,
    });
    expect(status.refusals).toEqual([{ reason: 'queue', count: refused }]);
    expect(status.tenants).toEqual([
      { tenant: '', weight: 1, waiting: 0, answered: 42 - refused, refused: refused + 1, failed: 0 },
    ]);
    const ended = status.history.map(({ answered, refused: no, failed }) => answered + no + failed);
    expect(ended.reduce((sum, each) => sum + each)).toBe(43);
    expect(status.asking).toEqual({ kind: 'none' });
    const root = await server.ask('/', { redirect: 'manual' });
    expect([root.status, root.headers.get('location')]).toEqual([302, 'status']);
    const { batches, stages, queue, memory } = status;
    expect(batches.requests * batches.count).toBeCloseTo(42 - refused, 6);
    expect(batches.rows * batches.count).toBeCloseTo(3 + 2 * (40 - refused), 6);
    expect(stages.find(({ stage }) => stage === 'request')!.spread.count).toBe(43);
    expect(stages.find(({ stage }) => stage === 'waiting')!.spread.count).toBe(42 - refused);
    expect(stages.find(({ stage }) => stage === 'reading')!.spread.count).toBeGreaterThan(1);
    expect(queue).toMatchObject({ requests: 0, rows: 0, bytes: 0, batches: 0 });
    expect(memory.resident).toBeGreaterThan(2 ** 20);
  });

  it('is for those who may change the server, and for all where there are no keys', async () => {
    const { ask } = await smallServer({ keys: [ops, shop] });
    const as = async (headers: Record<string, string>): Promise<number> => (await ask('/status.json', { headers })).status; // prettier-ignore
    expect(await as({})).toBe(401);
    expect(await as({ authorization: 'Bearer shop-key' })).toBe(403);
    expect(await as({ authorization: 'Bearer ops-key' })).toBe(200);
    // The page itself tells nothing, and may run nothing but its own script.
    const page = await ask('/status');
    expect(await page.text()).not.toContain('ops');
    const policy = page.headers.get('content-security-policy')!;
    expect(policy).toMatch(
      /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; img-src data:; connect-src 'self';/,
    );
    expect(policy).not.toContain('unsafe');
  });

  it('says which versions a name is split into', async () => {
    const store = path.join(mkdtempSync(path.join(tmpdir(), 'onnx-lora-status-')), 'store');
    onTestFinished(() => rmSync(path.dirname(store), { recursive: true }));
    const server = await smallServer({ keys: [ops], store: { folder: store } });
    const headers = { authorization: 'Bearer ops-key' };
    for (const [version, from] of [
      ['1', 'a0'],
      ['2', 'a1'],
    ] as const) {
      const form = new FormData();
      for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
        form.append('file', new Blob([readFileSync(path.join(server.runs, from, file))]), file);
      await server.ask(`/adapters/new?version=${version}`, { method: 'PUT', headers, body: form });
    }
    const shares = [
      { version: '1', weight: 3 },
      { version: '2', weight: 1 },
    ];
    await server.ask('/adapters/new/split', { method: 'POST', headers, body: JSON.stringify({ shares }) });
    const { splits, adapters } = await statusOf(server, headers);
    expect(splits).toEqual([
      {
        name: 'new',
        shares: [
          { to: 'new 1', share: 0.75 },
          { to: 'new 2', share: 0.25 },
        ],
      },
    ]);
    expect(adapters.filter(({ name }) => name === 'new').map(({ version, current }) => [version, current])).toEqual([
      ['1', false],
      ['2', true],
    ]);
  });
});

describe.skipIf(executablePath === undefined)('the page', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: executablePath!,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'], // prettier-ignore
    });
  }, 60_000);
  afterAll(async () => browser?.close());

  const newPage = async (options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> => {
    const page = await browser.newPage(options);
    page.setDefaultTimeout(10_000);
    return page;
  };

  /** Errors on the page. */
  function watched(page: Page): string[] {
    const problems: string[] = [];
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    return problems;
  }

  it.each([
    ['light', 1280],
    ['dark', 390],
  ] as const)(
    'shows all of it, %s and %d wide, and a name of a stranger is text',
    async (colorScheme, width) => {
      const server = await smallServer({ catalog: strange });
      await Promise.all(Array.from({ length: 20 }, (_, i) => server.infer(`net:a${i % 3}`, rowsOf(2, i))));
      await server.infer('net:none', rowsOf(1, 2));
      const page = await newPage({ colorScheme, viewport: { width, height: 900 }, bypassCSP: false });
      const problems = watched(page);
      const asked: string[] = [];
      page.on('request', (request) => asked.push(new URL(request.url()).pathname));
      await page.goto(`${server.server.url}/status`);
      await page.getByText('Time by stage').waitFor();
      expect(await page.title()).toBe('net · onnx-lora');
      const text = await page.locator('main').innerText();
      for (const each of ['a0', 'a1', 'a2', 'waiting for a batch', '(without a key)', 'POST /v2/models/:model/infer'])
        expect(text).toContain(each);
      expect(text).toContain(evil);
      expect(await page.locator('img, main script').count()).toBe(0);
      // Nothing is wider than the screen but what scrolls by itself.
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      const shots = process.env['SCREENSHOTS'];
      if (shots !== undefined) await page.screenshot({ path: `${shots}/status-${colorScheme}.png`, fullPage: true });
      // It asks again by itself, and nobody else.
      await server.infer('net:a0', rowsOf(1, 9));
      await page.waitForRequest((request) => request.url().endsWith('/status.json'), { timeout: 10_000 });
      expect(new Set(asked)).toEqual(new Set(['/status', '/status.json']));
      expect(await page.title()).toBe('net · onnx-lora');
      expect(problems).toEqual([]);
      await page.close();
      const examined = await newPage({ colorScheme, viewport: { width, height: 900 }, bypassCSP: true });
      await examined.goto(`${server.server.url}/status`);
      await examined.getByText('Time by stage').waitFor();
      await examined.addScriptTag({ path: fileURLToPath(import.meta.resolve('axe-core/axe.min.js')) });
      expect(
        await examined.evaluate(
          `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html).slice(0, 2)]))`,
        ),
      ).toEqual([]);
      await examined.close();
    },
    60_000,
  );

  it('asks for a key where there are some', async () => {
    const server = await smallServer({ keys: [ops, shop] });
    const page = await newPage();
    await page.goto(`${server.server.url}/status`);
    await page.getByLabel('A key with').fill('shop-key');
    await page.getByRole('button').click();
    await page.getByRole('status').getByText('see what others do').waitFor();
    await page.getByLabel('A key with').fill('ops-key');
    await page.getByRole('button').click();
    await page.getByText('Tenants').waitFor();
    expect(await page.getByLabel('A key with').isVisible()).toBe(false);
    await page.close();
  }, 60_000);
});
