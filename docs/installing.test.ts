/** @file Nobody is told to fetch a package that is not on npm: pages, help, messages and what the generator writes. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { root } from './fences/fences.ts';

/** Wherever a person may read a command; tests and what is published aside. */
const READ = /\.(md|json|yml|template)$|^packages\/[^/]+\/src\/.*\.ts$|^docs\/examples\/.*\.ts$/;
const UNREAD = /CHANGELOG\.md$|\.test\.ts$|package-lock\.json$|\/(fixtures|data|models)\//;

/**
 * Commands with which npm asks the registry for what this repository has not published. Files are fine, and so is `npx
 * onnx-lora` where the command is installed.
 */
const FROM_NPM = [
  /\bnpm (?:i|install|add)\b[^`\n]*?\s@onnx-lora\/[\w-]+/g,
  /\bnpm (?:create|init|exec|x)\b[^`\n]*?\s(?:@onnx-lora\/|onnx-lora|create-onnx-lora)[\w/-]*/g,
  /\bnpx (?:--\S+ )*(?:@onnx-lora\/[\w-]+|onnx-lora@\S+)/g,
  /\b(?:yarn|pnpm|bun) (?:add|install|create|dlx)\b[^`\n]*?onnx-lora[\w/-]*/g,
  /https:\/\/(?:www\.)?npmjs\.com\/package\/@onnx-lora\/\S+/g,
];

/** npm takes `packages/a.tgz` for the repository of that name on GitHub; `./packages/a.tgz` is a file. */
const FROM_GITHUB = /\bnpm (?:i|install|add)\b[^`\n#]*?\s(?![./~])[\w-]+\/[^\s`/]*\.tgz/g;

/** Places `file: command` that would end in E404. */
function fetchesIn(file: string, text: string): string[] {
  return [...FROM_NPM, FROM_GITHUB].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([found]) => `${file}: ${found}`),
  );
}

test('no text tells to run what would end in E404', () => {
  const known = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const files = known
    .split('\n')
    .filter((file) => READ.test(file) && !UNREAD.test(file) && existsSync(path.join(root, file)));
  expect(files.length).toBeGreaterThan(500);
  expect(files.flatMap((file) => fetchesIn(file, readFileSync(path.join(root, file), 'utf8')))).toEqual([]);
});

test('the home page has the commands of the README, and the tests of every change run the second', () => {
  const commands = (file: string): string[] =>
    [.../```sh\n([^`]*)```/.exec(readFileSync(path.join(root, file), 'utf8'))![1]!.matchAll(/^(.*?)\s+#/gm)].map(
      ([, command]) => command!,
    );
  const [quickstart, tests] = commands('README.md');
  expect(quickstart).toContain('npm run quickstart');
  expect(commands('docs/index.md')).toEqual(commands('README.md'));
  expect(readFileSync(path.join(root, '.ci/steps.sh'), 'utf8')).toMatch(
    new RegExp(`^tests\\(\\)[^)]*^ *${tests}$`, 'm'),
  );
});

test.each([
  'npm install @onnx-lora/sdk',
  'npm install onnx-lora-grain @onnx-lora/sdk --save',
  'npm i --global @onnx-lora/cli',
  'npm create onnx-lora-plugin cells',
  'npx @onnx-lora/cli train',
  'https://www.npmjs.com/package/@onnx-lora/sdk',
  'npm install packages/onnx-lora-*.tgz',
  'npm install --save-dev packages/onnx-lora-sdk.tgz',
])('%s is seen', (command) => {
  expect(fetchesIn('page', `Run \`${command}\`.`)).toHaveLength(1);
});

test.each([
  'npm install ./packages/onnx-lora-*.tgz',
  'npx onnx-lora train',
  'npm install --save-dev ./onnx-lora-sdk.tgz',
])('%s is fine', (command) => {
  expect(fetchesIn('page', command)).toEqual([]);
});
