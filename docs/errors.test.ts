/**
 * @file The page of the error codes is up to date, and each of its examples ends in its error.
 * `npx vitest run docs/errors.test.ts -u` writes the page.
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from '@onnx-lora/cli';
import { type ErrorCode, OnnxLoraError } from '@onnx-lora/sdk';
import { errorCodes } from '@onnx-lora/sdk/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ErrorExample, errorExamples, writeExampleFiles } from './errorExamples.ts';
import { errorPage } from './errorPage.ts';

const page = fileURLToPath(new URL('reference/errors.md', import.meta.url));
const codes = Object.keys(errorCodes) as ErrorCode[];
const outputs: Partial<Record<ErrorCode, string>> = {};

const home = process.cwd();
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'onnx-lora-errors-'));
  writeExampleFiles(folder);
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(home);
  rmSync(folder, { recursive: true });
});

test.each(codes)('%s', async (code) => {
  const example = errorExamples[code];
  const output = await expectError(code, example);
  const [found, shown] = example.varies ?? ['', ''];
  outputs[code] = output.replace(found, shown);
});

test('no message names a file of this repository, which who has installed a package does not have', () => {
  const packages = fileURLToPath(new URL('../packages', import.meta.url));
  const files = readdirSync(packages).flatMap((name) => {
    const all = readdirSync(join(packages, name, 'src'), { recursive: true, encoding: 'utf8' });
    return all
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map((file) => join(name, 'src', file));
  });
  expect(files.length).toBeGreaterThan(500);
  const lines = files.flatMap((file) =>
    readFileSync(join(packages, file), 'utf8')
      .split('\n')
      .map((line) => `${file}: ${line.trim()}`),
  );
  const messages = lines.filter((line) => !/: (\/\/|\/?\*)/.test(line));
  expect(messages.filter((line) => /(?<!https:\S*)\bdocs\/[a-z]+\//.test(line))).toEqual([]);
});

test('the page is up to date', async () => {
  await expect(await errorPage('docs/reference/errors.md', outputs as Record<ErrorCode, string>)).toMatchFileSnapshot(
    page,
  );
});

/** Runs the example, and returns what it prints. */
async function expectError(code: ErrorCode, example: ErrorExample): Promise<string> {
  if ('command' in example) {
    let stderr = '';
    const streams = { stdout: { write: () => {} }, stderr: { write: (text: string) => (stderr += text) } };
    expect(await main(example.command.split(' ').slice(1), streams)).toBe(2);
    const said = stderr.slice(stderr.indexOf('error: ')).trimEnd();
    expect(said.endsWith(`\nMore: onnx-lora explain ${code}`)).toBe(true);
    return said;
  }
  const error = await example.run().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(OnnxLoraError);
  expect(error).toMatchObject({ code, docs: `reference/errors#${code.toLowerCase().replaceAll('_', '-')}` });
  return String(error);
}
