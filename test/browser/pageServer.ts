/** @file A page in Chromium: builds the worker, serves it with models and the runtime, and has it work. */

import { createServer, type Server } from 'node:http';
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build, type Plugin } from 'vite';
import { forPages } from '../../packages/sdk/forPages.mjs';
import { sources } from '../support/sources.ts';

/** Chromium's program; undefined without one. */
export const executablePath: string | undefined = [
  process.env['CHROMIUM'],
  '/usr/bin/chromium',
  '/usr/bin/google-chrome',
].find((file) => file !== undefined && existsSync(file));
if (executablePath === undefined) console.warn('The tests in a browser are skipped: there is no Chromium. Set CHROMIUM to its path.'); // prettier-ignore

const ortFolder = path.dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' }; // prettier-ignore

/** Serves the page, the folders and the runtime, isolated, so that WebAssembly has threads. */
function serve(page: string, folders: Readonly<Record<string, string>>): Server {
  return createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    const [, first, ...rest] = pathname.split('/');
    const folder = { ...folders, ort: ortFolder }[first!];
    const file = folder ? path.join(folder, ...rest) : path.join(page, pathname);
    if (!existsSync(file) || !statSync(file).isFile()) return void response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': types[path.extname(file)] ?? 'application/octet-stream',
      'content-length': statSync(file).size,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    createReadStream(file).pipe(response);
  });
}

/** Ends a build that reaches a module of Node, for which Vite would put an empty one. */
export const noNode: Plugin = {
  name: 'no-node',
  generateBundle(_, bundle) {
    const modules = Object.values(bundle).flatMap((each) => (each.type === 'chunk' ? each.moduleIds : []));
    const found = modules.filter((id) => /__vite-browser-external|^node:/.test(id));
    if (found.length > 0) throw new Error(`A page reaches modules of Node: ${found.join(', ')}`);
  },
};

let page: Promise<string> | undefined;

/** The folder of the page, built once for all test files. */
async function builtPage(): Promise<string> {
  return (page ??= buildPage());
}

async function buildPage(): Promise<string> {
  const out = mkdtempSync(path.join(tmpdir(), 'onnx-lora-page-'));
  process.on('exit', () => rmSync(out, { recursive: true, force: true }));
  await build({
    configFile: false,
    logLevel: 'error',
    resolve: { alias: sources },
    plugins: [forPages, noNode],
    build: {
      outDir: out,
      target: 'es2022',
      minify: false,
      rollupOptions: { input: path.join(import.meta.dirname, 'worker.ts'), output: { entryFileNames: '[name].js' } },
    },
  });
  await mkdir(out, { recursive: true });
  await writeFile(
    path.join(out, 'index.html'),
    `<!doctype html><title>test</title><input type="file" multiple><input type="file" webkitdirectory><script>${work.toString()}</script>`,
  );
  return out;
}

/** Part of the page: has the worker work with picked files, and resolves with its answer. */
function work(order: object): Promise<unknown> {
  interface Answer {
    readonly step?: number;
    readonly error?: string;
  }
  interface WebWorker {
    onmessage(event: { readonly data: Answer }): void;
    onerror(event: { readonly message: string }): void;
    postMessage(order: unknown): void;
  }
  interface Scope {
    Worker: new (file: string, options: object) => WebWorker;
    document: { querySelectorAll(name: 'input'): Iterable<{ readonly files: Iterable<object> }> };
    step?: number;
  }
  const scope = globalThis as unknown as Scope;
  const picked = [...scope.document.querySelectorAll('input')].flatMap(({ files }) => [...files]);
  return new Promise((resolve, reject) => {
    const worker = new scope.Worker('/worker.js', { type: 'module' });
    worker.onmessage = ({ data }) => {
      if (data.step !== undefined) scope.step = data.step;
      else if (data.error === undefined) resolve(data);
      else reject(new Error(data.error));
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ ...order, picked });
  });
}

/** A served page, in a browser that is started. */
export class PageServer {
  readonly browser: Browser;
  readonly address: string;
  readonly #server: Server;

  private constructor(browser: Browser, server: Server) {
    this.browser = browser;
    this.address = `http://localhost:${(server.address() as AddressInfo).port}/index.html`;
    this.#server = server;
  }

  /** @param folders served beside the page, by their first name in the address */
  static async open(
    folders: Readonly<Record<string, string>>,
    args: readonly string[] = ['--disable-gpu'],
  ): Promise<PageServer> {
    const server = serve(await builtPage(), folders).listen(0);
    const browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox', '--disable-background-networking', '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', ...args] }); // prettier-ignore
    return new PageServer(browser, server);
  }

  /** A tab with the page. @param picked files, or a folder, that the user picks */
  async tab(picked?: string | readonly string[]): Promise<Page> {
    const page = await this.browser.newPage();
    await page.goto(this.address);
    if (picked !== undefined)
      await page
        .locator('input')
        .nth(typeof picked === 'string' ? 1 : 0)
        .setInputFiles(picked as string | string[]);
    return page;
  }

  async close(): Promise<void> {
    await this.browser.close();
    this.#server.close();
  }
}

/** The worker's answer to an order. */
export function worked<Answer>(on: Page, order: object): Promise<Answer> {
  return on.evaluate((each) => (globalThis as unknown as { work(order: unknown): Promise<Answer> }).work(each), order);
}
