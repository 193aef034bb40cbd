/** @file The example of classes: the task by the kit, with the model's head and with a new one, and a run on the command line. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Model, openModel } from '@onnx-lora/sdk';
import { checkPlugin, linearNet, publishModel } from '@onnx-lora/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callJson } from '../../../packages/cli/fixtures/call.ts';
import { classesPlugin, fileClasses } from './classes.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-classes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const grains = ['barley', 'oats', 'rye', 'wheat'];

let published = '';
let model: Model;
beforeAll(async () => {
  const config = { id2label: { 0: 'dust', 1: 'husk', 2: 'stone' } };
  published = await publishModel(path.join(folder, 'model'), { model: linearNet(), config });
  model = await openModel(published, { plugins: [classesPlugin] });
});

/** Files of 8 numbers and their table; the numbers at the class's position and four further are larger. */
function samples(name: string, labels: readonly string[], each = 15): string {
  mkdirSync(path.join(folder, name));
  const lines = Array.from({ length: each * labels.length }, (_, i) => {
    const label = labels[i % labels.length]!;
    const numbers = Array.from({ length: 8 }, (__, k) => Math.sin(17 * i + 5 * k) / 4 + Number(k % 4 === i % labels.length)); // prettier-ignore
    writeFileSync(path.join(folder, name, `${i}.txt`), `${numbers.join('\n')}\n`);
    return `${i}.txt,${label}\n`;
  });
  const table = path.join(folder, name, 'samples.csv');
  writeFileSync(table, `path,label\n${lines.join('')}`);
  return table;
}

it('the test kit finds the task sound', async () => {
  const tasks = [
    { task: fileClasses(samples('known', ['husk', 'stone'])), model },
    { task: fileClasses(samples('more', grains)), model },
  ];
  expect(await checkPlugin(classesPlugin, { tasks })).toEqual([]);
});

it('keeps the head of a model that knows the labels, in the order of its outputs', async () => {
  const data = await fileClasses(samples('kept', ['husk', 'stone'])).prepare(model);
  expect([data.head, data.train.length, data.validation!.length]).toEqual([undefined, 24, 6]);
  const examples = await Promise.all(Array.from({ length: 24 }, (_, i) => data.train.get(i)));
  expect(new Set(examples.map(({ target }) => target))).toEqual(new Set([1, 2]));
  const { targets } = await data.collate(examples);
  expect(targets['labels']!.data).toEqual(BigInt64Array.from(examples, ({ target }) => BigInt(target)));
});

it('asks for a new head with the labels of the data, and holds out of each class its share', async () => {
  const data = await fileClasses(samples('new', grains), { seed: 3 }).prepare(model);
  expect(data.head).toMatchObject({ output: 'logits', labels: grains });
  const held = await Promise.all(Array.from({ length: data.validation!.length }, (_, i) => data.validation!.get(i)));
  expect(grains.map((_, k) => held.filter(({ target }) => target === k).length)).toEqual([3, 3, 3, 3]);
});

it.each([
  ['a row without a label', '0.txt,\n', 'line 2, column "label": a class is expected, but it is empty. Name one, or remove the line.'], // prettier-ignore
  ['one class alone that the model does not know', '0.txt,rice\n1.txt,rice\n', 'has one class only, "rice", and the model does not know it among several. A classifier needs at least two: add another class.'], // prettier-ignore
  ['labels that the model mostly knows', '0.txt,dust\n1.txt,husk\n2.txt,stones\n', 'Not among them: "stones". Did you mean "stone"? Rename them after the model\'s classes; or'], // prettier-ignore
  ['a file outside of the folder', '../model/config.json,rye\n', 'lies outside of'],
])('refuses %s', async (_, lines, message) => {
  const table = path.join(folder, 'bad.csv');
  writeFileSync(table, `path,label\n${lines}`);
  await expect(fileClasses(table, { validation: 0.01 }).prepare(model)).rejects.toThrow(message);
});

it('learns four classes on a model of three, and answers with their names, on the command line', async () => {
  const plugin = ['--plugin', path.join(import.meta.dirname, 'classes.ts'), '--task', 'file-classes'];
  const [table, out] = [samples('run', grains), path.join(folder, 'out')];
  const { before, after } = await callJson<Record<'before' | 'after', Record<string, number>>>('train', published, ...plugin, '--data', table, '--validation', '0.2', '--targets', 'all-linear', '--epochs', '40', '--lr', '1e-2', '--out', out); // prettier-ignore
  // Before, a linear probe answers: it may find the classes, and is less sure of them.
  expect(after['accuracy']).toBeGreaterThan(0.9);
  expect(after['loss']).toBeLessThan(before['loss']! / 10);
  const files = [1, 2, 3].map((i) => path.join(folder, 'run', `${i}.txt`));
  const answers = await callJson<{ label: string; score: number }[]>('predict', published, ...files, ...plugin, '--adapter', path.join(out, 'adapter')); // prettier-ignore
  expect(answers.map(({ label }) => label)).toEqual(['oats', 'rye', 'wheat']);
});
