/** @file Tests of `onnx-lora continual`: what it leaves, and what it refuses before the first task begins. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { FileLock } from '@onnx-lora/sdk/core';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

/** A folder with a few digits of two kinds, and a file on them. */
function tasksOf(section: string, settings = ''): { folder: string; words: string[]; out: string } {
  const folder = temporaryFolder();
  for (const turned of [true, false]) {
    const kind = path.join(folder, turned ? 'turned' : 'upright');
    writeDigits(path.join(kind, 'train'), { perClass: 2, classes: [3, 8], turned });
    writeDigits(path.join(kind, 'test'), { perClass: 2, from: 820, classes: [3, 8], turned });
  }
  const config = path.join(folder, 'two.yaml');
  const tasks = `tasks: { turned: "${path.join(folder, 'turned')}", upright: "${path.join(folder, 'upright')}" }`;
  writeFileSync(config, `model: ${vit}\nsteps: 3\nthreads: 1\n${settings}\n${section.replace('TASKS', tasks)}\n`);
  const out = path.join(folder, 'runs/a');
  return { folder, out, words: ['continual', '--config', config, '--out', out] };
}

interface Found {
  readonly ending: string;
  readonly metric: string;
  readonly tasks: readonly string[];
  readonly base: readonly number[];
  readonly scores: readonly (readonly number[])[];
  readonly average: number;
}

it('leaves an adapter, the matrix and a page; a second call trains nothing', async () => {
  const { words, out } = tasksOf('continual: { TASKS, method: replay, replay-examples: 1 }');
  const found = await callJson<Found>(...words);
  expect(found).toMatchObject({ ending: 'done', method: 'replay', metric: 'accuracy', better: 'higher', tasks: ['turned', 'upright'] }); // prettier-ignore
  expect(found.average).toBeCloseTo((found.scores[1]![0]! + found.scores[1]![1]!) / 2, 12);
  const { out: _, ending: __, ...rest } = found as Found & { out: string };
  expect(JSON.parse(readFileSync(path.join(out, 'matrix.json'), 'utf8'))).toEqual(rest);
  const rows = [found.base, ...found.scores].map((row, i) => [['base', 'turned', 'upright'][i], ...row].join(','));
  expect(readFileSync(path.join(out, 'matrix.csv'), 'utf8')).toBe(`after,turned,upright\n${rows.join('\n')}\n`);
  const page = readFileSync(path.join(out, 'continual.html'), 'utf8');
  expect(page).toContain('<th scope="row">upright</th>');
  expect(page).toContain('replay-examples: 1');
  const adapter = readFileSync(path.join(out, 'adapter/adapter_model.safetensors'));
  const again = await call(words);
  expect(again.stderr).not.toMatch(/step/);
  expect(again.stdout).toContain('accuracy at the end');
  expect(readFileSync(path.join(out, 'adapter/adapter_model.safetensors'))).toEqual(adapter);
  expect((await call(['eval', vit, '--data', path.join(out, '../../turned'), '--adapter', out])).code).toBe(0);
});

it.each(['o-lora', 'inf-lora', 'sd-lora', 'ewc'])('%s learns labels that the model does not have', async (method) => {
  const { words } = tasksOf(`continual: { TASKS, method: ${method} }`, 'set: { head: new }');
  expect(await callJson<Found>(...words)).toMatchObject({ ending: 'done' });
});

it.each([
  ['one task', 'continual: { tasks: { turned: turned } }', '', /"continual.tasks" in .* must name two tasks/],
  ['tasks called by numbers', 'continual: { tasks: { 2: a, 1: b } }', '', /"continual.tasks" .*no whole numbers/],
  ['a method that there is not', 'continual: { TASKS, method: magic }', '', /"continual.method" .*sequential/],
  ['lambda without use', 'continual: { TASKS, lambda: 2 }', '', /"continual.lambda" .* has no use for the method sequential/], // prettier-ignore
  ['a key that there is not', 'continual: { TASKS, methods: ewc }', '', /methods/],
  ['no section', '', '', /has no key "continual" with the tasks/],
  ['data of its own', 'continual: { TASKS }', 'data: photos', /"data" in .* has no use for several tasks/],
  ['one folder to measure all', 'continual: { TASKS }', 'validation: test', /"validation" in .* is a folder/],
  ['nothing held out', 'continual: { tasks: { a: FOLDER/turned/train, b: FOLDER/upright/train } }', 'validation: 0', /Task "a": No examples are held out/], // prettier-ignore
  ['data that are not there', 'continual: { tasks: { a: nowhere, b: nowhere } }', '', /Task "a": .*nowhere/],
  ['a tuner beside a method that is one', 'continual: { TASKS, method: ewc }', 'tuner: loha', /The method ewc says itself how the adapter is made/], // prettier-ignore
  ['a module that there is not', 'continual: { TASKS }', 'targets: nowhere', /Task "turned": .*nowhere/],
])('%s is refused before the first task', async (_, section, settings, message) => {
  const { words, out, folder } = tasksOf(section, settings);
  const config = words[2]!;
  writeFileSync(config, readFileSync(config, 'utf8').replaceAll('FOLDER', folder));
  const { code, stderr } = await call(words);
  expect(stderr).toMatch(message);
  expect(code).toBe(2);
  expect(existsSync(path.join(out, 'continual.json'))).toBe(false);
});

it('a folder that holds something else, other tasks, or in which another process works, is refused', async () => {
  const { words, out, folder } = tasksOf('continual: { TASKS }');
  mkdirSync(out, { recursive: true });
  writeFileSync(path.join(out, 'mine.txt'), '');
  expect((await call(words)).stderr).toContain(`The folder "${out}" is not empty, and holds no run of tasks to continue.`); // prettier-ignore
  const other = path.join(folder, 'runs/b');
  mkdirSync(other);
  const lock = FileLock.take(path.join(other, 'continual.lock')) as FileLock;
  const { stderr } = await call([...words.slice(0, -1), other]);
  lock.release();
  expect(stderr).toContain(`The run of tasks in "${other}" is being made by process ${process.pid}`);
});

it('without a file it says what is missing', async () => {
  expect((await call(['continual'])).stderr).toContain('--config is missing: name the YAML file that says which tasks are learned.'); // prettier-ignore
});
