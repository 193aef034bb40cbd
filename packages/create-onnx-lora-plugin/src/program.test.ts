/** @file The command as a user meets it: on a terminal, in a pipe, with flags. */

import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { main } from './program.ts';

/** Runs the command; on a terminal, each question is answered by the next of the answers. */
async function run(
  words: readonly string[],
  answers?: readonly string[],
): Promise<{ code: number; printed: string; errors: string }> {
  const input = new PassThrough();
  const left = [...(answers ?? [])];
  let [printed, errors] = ['', ''];
  const output = new Writable({
    write(chunk, _, done) {
      printed += String(chunk);
      if (String(chunk).endsWith(']: ')) {
        const answer = left.shift();
        if (answer === undefined) input.end();
        else input.write(`${answer}\n`);
      }
      done();
    },
  });
  const errorOutput = new Writable({
    write(chunk, _, done) {
      errors += String(chunk);
      done();
    },
  });
  const code = await main(words, { input, output, errors: errorOutput, isTerminal: answers !== undefined });
  return { code, printed, errors };
}

async function place(name: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'create-plugin-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return path.join(folder, name);
}

const manifestOf = async (folder: string): Promise<unknown> =>
  JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));

test('flags and --yes ask nothing', async () => {
  const folder = await place('onnx-lora-cells');
  const { code, printed } = await run([folder, '--family', 'cell-net', '--license', 'MIT', '--yes'], []);
  expect(code).toBe(0);
  expect(printed).toContain(
    `onnx-lora-cells is in ${folder}. Next:\n\n  npm run pack -- ${folder}/packages\n  cd ${folder}\n  npm install --save-dev ./packages/onnx-lora-*.tgz\n  npm test\n`,
  );
  expect(await manifestOf(folder)).toMatchObject({ name: 'onnx-lora-cells', license: 'MIT' });
  expect(await readFile(path.join(folder, 'src/family.ts'), 'utf8')).toContain("name: 'cell-net'");
});

test('a pipe takes the defaults, but wants a folder', async () => {
  const folder = await place('cells');
  expect((await run([folder])).code).toBe(0);
  expect(await manifestOf(folder)).toMatchObject({ name: 'cells', license: 'Apache-2.0' });
  const { code, errors } = await run([]);
  expect([code, errors]).toEqual([
    2,
    'error: No folder is named. Name it: npx create-onnx-lora-plugin ../onnx-lora-cells\n',
  ]);
});

test('a terminal is asked for what flags have not said, again where it cannot be used', async () => {
  const folder = await place('cells');
  const { code, printed } = await run(
    ['--task', 'counting'],
    [folder, 'Cells', 'onnx-lora-cells', '', '', 'labels', 'classification', '', 'Ada', 'MIT'],
  );
  expect(code).toBe(0);
  expect(printed).toContain('"Cells" cannot be used: npm refuses it');
  expect(printed).toContain('"labels" cannot be used: it is none of regression, classification.');
  expect(printed).not.toContain('Task, as --task');
  expect(printed).toContain('[cells-net]: ');
  expect(await manifestOf(folder)).toMatchObject({ name: 'onnx-lora-cells', author: 'Ada', license: 'MIT' });
  expect(await readFile(path.join(folder, 'src/task.ts'), 'utf8')).toContain('class ClassificationFactory');
});

test('whoever leaves before the last question has written nothing', async () => {
  const folder = await place('cells');
  const { code, errors } = await run([], [folder, 'cells']);
  expect([code, errors]).toEqual([2, 'error: Nothing was written: the questions were not answered.\n']);
  expect(existsSync(folder)).toBe(false);
});

test.each([
  [['a', 'b'], '"b" is one word too many. See npx create-onnx-lora-plugin --help.'],
  [['--licence', 'MIT'], "Unknown option '--licence'. See npx create-onnx-lora-plugin --help."],
  [['x', '--name', 'A B'], 'The name "A B" cannot be used'],
])('%o is a mistake', async (words, message) => {
  const { code, errors } = await run(words);
  expect(code).toBe(2);
  expect(errors).toContain(`error: ${message}`);
});

test('help names every flag', async () => {
  const { code, printed } = await run(['--help']);
  expect(code).toBe(0);
  for (const flag of ['name', 'domain', 'family', 'kind', 'task', 'description', 'author', 'license', 'yes', 'help'])
    expect(printed).toContain(`--${flag}`);
});
