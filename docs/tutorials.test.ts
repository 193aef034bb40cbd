/**
 * @file Every command of a tutorial runs, in the order of its page, and prints what the page shows.
 *
 * `sh` fences are run, each by a shell, in one new folder that has the clone's `docs`, `test` and `packages`. The `text` fence
 * that comes next is what the commands print: its lines must come in their order, whatever stands between them; their numbers
 * may be others, but those of a line with "before" and "after" only by a tenth. A line `…` stands for lines left out. Where one
 * begins with `error:`, the commands must fail. A `cd` holds for the fences that follow. Other fences (`bash`) are not run.
 *
 * Every change runs some of the pages, a nightly run all. Commands that take
 * minutes or the network are `sh nightly` fences: there `npm install --prefix` is run, and a share in percent that the page
 * shows is met to a point, on lines with an arrow.
 */

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { isNightly } from '../test/support/nightly.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const tutorials = path.join(root, 'docs/tutorials');
/** An unknown model; a pipeline and its errors. */
const everyChange = new Set(['unknown-model.md', 'ship-to-production.md']);
const pages = existsSync(tutorials)
  ? readdirSync(tutorials).filter((name) => (isNightly ? name.endsWith('.md') : everyChange.has(name)))
  : [];

test.each(pages)('%s', { timeout: isNightly ? 3_600_000 : 600_000 }, async (page) => {
  const folder = clone();
  const ended = path.join(folder, '.cwd');
  writeFileSync(ended, folder);
  for (const { line, commands, output, nightly } of fencesOf(readFileSync(path.join(tutorials, page), 'utf8'))) {
    if (nightly && !isNightly) continue;
    const place = `docs/tutorials/${page}:${line}`;
    const { code, printed } = await shell(`trap 'pwd >${ended}' EXIT\n${commands}`, readFileSync(ended, 'utf8').trim());
    const fails = output.some(({ text }) => text.startsWith('error:'));
    if (fails === (code === 0)) expect.fail(`${place} exits with ${code}:\n${commands}\n${printed}`);
    const missing = firstMissing(output, printed.split('\n'), nightly);
    if (missing) {
      expect.fail(
        `docs/tutorials/${page}:${missing.line} shows "${missing.text}", which ${place} does not print:\n${printed}`,
      );
    }
  }
});

/** A line of the page, counted from 1. */
interface Line {
  readonly line: number;
  readonly text: string;
}

/** Commands, and what the page says that they print. */
interface Fence {
  readonly line: number;
  readonly commands: string;
  readonly output: readonly Line[];
  /** Takes longer than a test of every change may. */
  readonly nightly: boolean;
}

function fencesOf(page: string): Fence[] {
  const fences = [...page.matchAll(/^```(sh|text|bash|ts)\b(.*)\n([\s\S]*?)^```$/gm)].map(
    ({ index, 1: kind, 2: info, 3: body }) => ({
      kind,
      nightly: info!.trim() === 'nightly',
      line: page.slice(0, index).split('\n').length + 1,
      body: body!,
    }),
  );
  return fences.flatMap(({ kind, line, body, nightly }, i) => {
    if (kind !== 'sh') return [];
    const next = fences[i + 1];
    const output = next?.kind === 'text' ? next.body.split('\n').map((text, k) => ({ line: next.line + k, text })) : [];
    const lines = output.filter(({ text }) => text.trim() !== '' && text.trim() !== '…');
    return [{ line, commands: body, output: lines, nightly }];
  });
}

/** The first line that is not among those printed, behind the ones before it. */
function firstMissing(shown: readonly Line[], printed: readonly string[], isShare: boolean): Line | undefined {
  let at = 0;
  for (const line of shown) {
    const found = printed.findIndex((text, i) => i >= at && isAlike(line.text, text, isShare));
    if (found < 0) return line;
    at = found + 1;
  }
  return undefined;
}

const NUMBER = /-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?/g;

function isAlike(shown: string, printed: string, isShare: boolean): boolean {
  const plain = (text: string): string => text.replaceAll(NUMBER, '0').replaceAll(/\s+/g, ' ').trim();
  if (plain(shown) !== plain(printed)) return false;
  const isShown = isShare && /%.*→.*%/.test(shown);
  if (!isShown && !/\bbefore\b.*\bafter\b/.test(shown)) return true;
  const [expected, found] = [shown, printed].map((text) =>
    [...text.matchAll(NUMBER)].map(([number]) => Number(number)),
  );
  const near = (value: number): number => (isShown ? 1 : 0.1 * Math.max(1, Math.abs(value)));
  return expected!.every((value, i) => Math.abs(value - found![i]!) <= near(value));
}

/**
 * A new folder that looks like a clone after `npm ci` and `npm run build`. Folders beside it find the packages, too, as if
 * they were installed there.
 */
function clone(): string {
  const parent = mkdtempSync(path.join(tmpdir(), 'onnx-lora-tutorial-'));
  // A busy machine takes its time over thousands of pictures.
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }), 60_000);
  const folder = path.join(parent, 'onnx-lora');
  mkdirSync(folder);
  for (const name of ['docs', 'test', 'packages', 'node_modules'])
    symlinkSync(path.join(root, name), path.join(folder, name));
  symlinkSync(path.join(root, 'node_modules'), path.join(parent, 'node_modules'));
  return folder;
}

/** npx takes the command of this clone; installing, building and packing are done. */
const PRELUDE = `
npx() { "$@"; }
npm() {
  case "$*" in
    'install --prefix'*) command npm "$@" ;;
    ci|install*|'run build'|'run pack'*) ;;
    *) command npm "$@" ;;
  esac
}
`;

function shell(commands: string, cwd: string): Promise<{ code: number; printed: string }> {
  const programs = [path.dirname(process.execPath), path.join(root, 'node_modules/.bin'), process.env['PATH']];
  const env = { ...process.env, PATH: programs.join(path.delimiter), NO_COLOR: '1' };
  return new Promise((resolve) => {
    execFile('bash', ['-c', `exec 2>&1; set -e${PRELUDE}${commands}`], { cwd, env }, (error, printed) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), printed }),
    );
  });
}
