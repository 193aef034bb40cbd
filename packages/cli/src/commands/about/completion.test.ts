/** @file Tests of `onnx-lora completion`: shells load the scripts and are asked what they offer. */

import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { initializerNames } from '@onnx-lora/sdk/core';
import { describe, expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../../fixtures/call.ts';

const everything = fileURLToPath(new URL('../../../fixtures/everything.ts', import.meta.url));

/** Runs a program in a terminal. */
const terminal = 'script';
const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Lines, and what is offered at their end. */
const cases: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['onnx-lora ex', ['export', 'explain']],
  ['onnx-lora --ver', ['--version']],
  ['onnx-lora train --weight', ['--weight-decay']],
  ['onnx-lora train --provider c', ['cpu', 'cuda', 'coreml']],
  ['onnx-lora train --provider=c', ['cpu', 'cuda', 'coreml']],
  ['onnx-lora train models/vit --dora --cache-prefix ', ['auto', 'off']],
  ['onnx-lora combine a b --method tie', ['ties', 'ties_svd']],
  ['onnx-lora eval --task image-r', ['image-regression', 'image-retrieval']],
  ['onnx-lora explain OUT', ['OUT_OF_MEMORY']],
  ['onnx-lora help un', ['unmerge']],
  ['onnx-lora train --r ', []],
];

/** A folder with a script and two files; one of them is a model. */
async function prepared(shell: string): Promise<{ folder: string; script: string }> {
  const folder = temporaryFolder();
  const { code, stdout } = await call(['completion', shell]);
  expect(code).toBe(0);
  const script = path.join(folder, `completion.${shell}`);
  writeFileSync(script, stdout);
  for (const name of ['model.onnx', 'notes.txt']) writeFileSync(path.join(folder, name), '');
  return { folder, script };
}

function lines(folder: string, program: string, ...words: string[]): string[] {
  const text = execFileSync(program, words, { cwd: folder, env: { ...process.env, HOME: folder }, encoding: 'utf8' });
  return text.split('\n').filter((line) => line !== '');
}

describe.skipIf(!isInstalled('bash'))('bash', () => {
  it('offers commands, flags and words', async () => {
    const { folder, script } = await prepared('bash');
    const ask = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _onnx_lora; printf "%s\\n" "${COMPREPLY[@]}"';
    for (const [line, offered] of cases) {
      // bash makes a word of an equals sign.
      const words = line.replace('=', ' = ').split(' ');
      expect([line, lines(folder, 'bash', '--norc', '-c', ask, script, ...words)]).toEqual([line, offered]);
    }
  });

  it.skipIf(process.platform !== 'linux' || !isInstalled(terminal))('completes in a terminal, also files', async () => {
    const { folder, script } = await prepared('bash');
    const typed = 'onnx-lora tra\tmod\t--schedule pol\t--out not\t';
    const { stdout } = spawnSync(terminal, ['-qec', 'bash --norc -i', '/dev/null'], {
      cwd: folder,
      input: `onnx-lora() { echo "<$*>"; }; source ${script}\n${typed}\nexit\n`,
      encoding: 'utf8',
    });
    expect(stdout).toContain('<train model.onnx --schedule polynomial --out notes.txt>');
  });
});

describe.skipIf(!isInstalled('zsh'))('zsh', () => {
  it('offers commands, flags, words and files', { timeout: 120_000 }, async () => {
    const { folder, script } = await prepared('zsh');
    const driver = fileURLToPath(new URL('../../../fixtures/complete.zsh', import.meta.url));
    for (const [line, offered] of [...cases, ['onnx-lora merge --out n', ['notes.txt']] as const])
      expect([line, lines(folder, 'zsh', '-f', driver, script, line)]).toEqual([line, offered]);
  });
});

describe.skipIf(!isInstalled('fish'))('fish', () => {
  it('offers commands, flags, words and files', async () => {
    const { folder, script } = await prepared('fish');
    for (const [line, offered] of [...cases, ['onnx-lora merge --out n', ['notes.txt']] as const]) {
      const found = lines(folder, 'fish', '--no-config', '-c', `source ${script}; complete -C '${line}'`);
      // A tab parts a word from what is said of it; what follows = is offered with its flag. fish also offers what has the
      // typed text elsewhere than at its beginning.
      const words = found.map((each) => each.split('\t')[0]!.replace(/^--.*=/, ''));
      const begun = words.filter((word) => word.startsWith(line.split(/[ =]/).at(-1)!));
      expect([line, begun.sort()]).toEqual([line, [...offered].sort()]);
    }
  });
});

it('has every task, and every initialisation that is one name', async () => {
  const { stdout } = await call(['completion', 'bash']);
  const tasks = (await callJson<{ name: string }[]>('tasks')).map(({ name }) => name);
  expect(stdout).toContain(`words='${tasks.join(' ')}'`);
  expect(stdout).toContain(`words='${initializerNames.filter((name) => !name.endsWith('_N')).join(' ')}'`);
});

it('has the words of plugins, and so has the schema', async () => {
  const { stdout } = await call(['completion', 'bash', '--plugin', everything]);
  const { stdout: schema } = await call(['schema', '--plugin', everything]);
  const { properties } = JSON.parse(schema) as { properties: Record<string, { items?: object }> };
  for (const [key, word] of [
    ['init', 'ones'],
    ['optimizer', 'sign-descent'],
    ['provider', 'here'],
    ['track', 'text-file'],
  ] as const) {
    // prettier-ignore
    expect(stdout).toMatch(new RegExp(`^ *'train --${key}'.* words='[^']*\\b${word}\\b`, 'm'));
    expect(properties[key]!.items ?? properties[key]).toMatchObject({ anyOf: [{ enum: expect.arrayContaining([word]) }, { type: 'string' }] }); // prettier-ignore
  }
});

it('names the shells that it knows', async () => {
  const { code, stderr } = await call(['completion', 'csh']);
  expect(code).toBe(2);
  expect(stderr).toContain('Allowed choices are bash, zsh, fish.');
});
