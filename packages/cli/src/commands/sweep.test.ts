/** @file Tests of `onnx-lora sweep` without training: what it lists, and what it refuses before the first trial begins. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { FileLock } from '@onnx-lora/sdk/core';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

/** A folder with a few digits, and a file of a sweep on them. */
function sweepOf(yaml: string, data = 'digits'): { folder: string; words: string[]; out: string } {
  const folder = temporaryFolder();
  writeDigits(path.join(folder, 'digits/train'), { perClass: 2, classes: [3, 8], turned: true });
  writeDigits(path.join(folder, 'digits/test'), { perClass: 1, from: 820, classes: [3, 8], turned: true });
  const config = path.join(folder, 'sweep.yaml');
  writeFileSync(config, `model: ${vit}\ndata: ${path.join(folder, data)}\n${yaml}`);
  const out = path.join(folder, 'runs/a');
  return { folder, out, words: ['sweep', '--config', config, '--out', out] };
}

it('lists what would be trained, checks all of it, and touches nothing', async () => {
  const { words, out } = sweepOf(
    'sweep: { methods: [lora, ia3], try: { lr: [1e-3, 1e-2] }, seeds: 2, search: halving }',
  );
  const listed = await callJson<{ trials: number; rungs: number[]; configurations: { configuration: string }[] }>(...words, '--plan'); // prettier-ignore
  expect(listed).toMatchObject({ trials: 8, rungs: [1 / 3, 1] });
  expect(listed.configurations.map(({ configuration }) => configuration)).toEqual(['lora lr 0.001', 'lora lr 0.01', 'ia3 lr 0.001', 'ia3 lr 0.01']); // prettier-ignore
  const { stdout } = await call([...words, '--plan']);
  expect(stdout).toContain('8 trials; the best continue to the end: 33.33%, 100% of the steps');
  expect(existsSync(out)).toBe(false);
});

it.each([
  [
    'a module that there is not',
    'sweep: { try: { targets: [query, nowhere] } }',
    /^error: lora targets nowhere: .*nowhere/,
  ],
  ['a setting of LoRA with another tuner', 'sweep: { methods: { lora: , ia3: { r: 4 } } }', /^error: ia3: "r" is an option of LoRA, and the tuner is "ia3"/], // prettier-ignore
  ['a setting that a tuner has not', 'sweep: { methods: { loha: { tuner: { name: loha, ranks: 3 } } } }', /^error: loha: The tuner "loha" has no setting "ranks"/], // prettier-ignore
  [
    'folds of a task that has none',
    'sweep: { folds: 3 }',
    /^error: lora: The task "image-classification" has no setting "fold"/,
  ],
  [
    'nothing held out',
    'eval: false\nsweep: {}',
    /^error: lora: A trial is compared by what it measures, and eval is false/,
  ],
  ['a metric that the task has not', 'metric: acuracy\nsweep: {}', /^error: lora: The task gives no metric "acuracy". Did you mean "accuracy"/], // prettier-ignore
  [
    'an optimizer that there is not',
    'sweep: { try: { optimizer: adamx } }',
    /^error: lora: There is no optimizer "adamx"/,
  ],
])('%s is refused before the first trial', async (_, yaml, message) => {
  const { words, out } = sweepOf(yaml);
  const { code, stderr } = await call(words);
  expect(stderr.replace(/^task .*\n/, '')).toMatch(message);
  expect(code).toBe(2);
  expect(existsSync(out)).toBe(false);
});

it('data that cannot be read are told of before the first trial', async () => {
  const { words } = sweepOf('sweep: {}', 'nowhere');
  expect(await call(words)).toMatchObject({ code: 2, stderr: expect.stringContaining('nowhere') });
});

it('a folder that holds something else, or in which a sweep is made, is refused', async () => {
  const { words, out, folder } = sweepOf('sweep: {}');
  mkdirSync(out, { recursive: true });
  writeFileSync(path.join(out, 'mine.txt'), '');
  expect((await call(words)).stderr).toContain(`The folder "${out}" is not empty, and holds no sweep to continue.`);
  const other = path.join(folder, 'runs/b');
  mkdirSync(other);
  const lock = FileLock.take(path.join(other, 'sweep.lock')) as FileLock;
  const { stderr } = await call([...words.slice(0, -1), other]);
  lock.release();
  expect(stderr).toContain(`The sweep in "${other}" is being made by process ${process.pid}`);
});

it('without a file it says what is missing', async () => {
  expect((await call(['sweep'])).stderr).toContain('--config is missing: name the YAML file with the configurations to try.'); // prettier-ignore
});
