/** @file Tests of training on labels that the model does not know: from a folder of images to answers, with no flag but two. */

import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { loadAdapter, openModel } from '@onnx-lora/sdk';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../../test/fixtures/digits.ts';
import { call, callJson, temporaryFolder, vit } from '../../fixtures/call.ts';

/** Turned digits in folders of names that the model has never heard of. */
function namedDigits(folder: string, options: { readonly perClass: number; readonly from?: number }): string {
  writeDigits(folder, { ...options, classes: [1, 4, 8], turned: true });
  for (const [digit, name] of [
    [1, 'bar'],
    [4, 'chair'],
    [8, 'snowman'],
  ])
    // prettier-ignore
    renameSync(path.join(folder, String(digit)), path.join(folder, String(name)));
  return folder;
}

it('before is what training starts from: a new head that is fitted to the frozen model', async () => {
  const folder = temporaryFolder();
  const data = namedDigits(path.join(folder, 'things'), { perClass: 30 });
  const out = path.join(folder, 'still');
  const words = [
    '--data',
    data,
    '--validation',
    '0.4',
    '--steps',
    '1',
    '--lr',
    '1e-12',
    '--threads',
    '1',
    '--out',
    out,
  ];
  const { stdout, stderr } = await call(['train', vit, ...words]);
  expect(stderr).toMatch(/before, with a linear probe as its head: accuracy/);
  const [before, after] = readFileSync(path.join(out, 'metrics.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line.includes('"evaluation"'))
    .map((line) => JSON.parse(line) as { metrics: Record<string, number>; probedHead?: boolean });
  expect(before!.probedHead).toBe(true);
  // By chance a third would be right.
  expect(before!.metrics['accuracy']).toBeGreaterThan(0.6);
  for (const [name, value] of Object.entries(before!.metrics)) expect(after!.metrics[name]).toBeCloseTo(value, 5);
  // The verdict is the last line of the terminal, and the first of the report.
  const verdict =
    /^accuracy (\S+) with LoRA, \1 with a linear probe on the base; difference 0 \(95%: 0 to 0\): LoRA is shown neither to help nor to do worse\.$/;
  expect(stdout.trim().split('\n').at(-1)).toMatch(verdict);
  const report = readFileSync(path.join(out, 'report.html'), 'utf8');
  const [, tile] = /<dl class="facts">\s*<div class="verdict undecided">.*<dd class="why">(.*)<\/dd>/.exec(report)!;
  expect(tile).toMatch(verdict);
});

it('a new head is trained, told of, measured, asked and merged', async () => {
  const folder = temporaryFolder();
  const data = namedDigits(path.join(folder, 'things'), { perClass: 60 });
  const test = namedDigits(path.join(folder, 'test'), { perClass: 10, from: 820 });
  const out = path.join(folder, 'run');
  const { code, stderr, stdout } = await call([
    'train', '--task', 'image-classification', '--data', data, '--model', vit, '--out', out, '--lr', '5e-3', '--json', '--set', 'calibrate',
  ]); // prettier-ignore
  expect(stderr).toMatch(/classifier gets 3 new outputs/);
  expect(code).toBe(0);
  const { after } = JSON.parse(stdout) as { after: { accuracy: number } };
  expect(after.accuracy).toBeGreaterThan(0.8);
  const { notes, tensors } = await loadAdapter(path.join(out, 'adapter'));
  expect(notes.labels).toEqual(['bar', 'chair', 'snowman']);
  expect(notes.learned!['temperature']).toBeGreaterThan(0);
  expect(tensors.get('base_model.model.classifier.weight')!.dims[0]).toBe(3);
  expect(stderr).not.toContain('warning');
  const report = readFileSync(path.join(out, 'report.html'), 'utf8');
  for (const part of ['Calibration', 'snowman']) expect(report).toContain(part);

  const measured = await callJson<{ accuracy: number; examples: number }>(
    'eval',
    vit,
    '--data',
    test,
    '--adapter',
    out,
  );
  expect(measured.examples).toBe(30);
  expect(measured.accuracy).toBeGreaterThan(0.75);
  const file = path.join(test, 'snowman', '0820.png');
  const [served] = await callJson<{ label: string; score: number }[]>('predict', vit, file, '--adapter', out);
  expect(served!.label).toBe('snowman');

  const merged = path.join(folder, 'merged');
  mkdirSync(merged);
  const lone = path.join(merged, 'model.onnx');
  const told = await call(['merge', vit, '--adapter', out, '--out', lone]);
  // Nothing lands beside a single file, and what it still wants is said at once.
  expect(readdirSync(merged)).toEqual(['model.onnx']);
  expect(told.stdout).toContain('it also wants preprocessor_config.json beside it: merge into a folder');
  expect((await openModel(lone)).config).toMatchObject({
    model_type: 'vit',
    id2label: { 0: 'bar', 1: 'chair', 2: 'snowman' },
    onnx_lora: notes.learned,
  });
  // Its own labels, also beside the base's.
  copyFileSync(path.join(vit, 'config.json'), path.join(merged, 'config.json'));
  copyFileSync(path.join(vit, 'preprocessor_config.json'), path.join(merged, 'preprocessor_config.json'));
  const [plain] = await callJson<{ label: string; score: number }[]>('predict', merged, file);
  expect(plain).toMatchObject({ label: 'snowman', score: expect.closeTo(served!.score, 4) });

  const whole = path.join(folder, 'whole');
  await callJson('merge', vit, '--adapter', out, '--out', whole);
  const [opened] = await callJson<{ label: string; score: number }[]>('predict', whole, file);
  expect(opened).toMatchObject({ label: 'snowman', score: expect.closeTo(served!.score, 4) });
});

it('--from keeps the head where the labels are the adapter’s, and begins it again where they are not', async () => {
  const folder = temporaryFolder();
  const data = namedDigits(path.join(folder, 'things'), { perClass: 3 });
  const others = path.join(folder, 'others');
  writeDigits(others, { perClass: 3, classes: [2, 5], turned: true });
  renameSync(path.join(others, '2'), path.join(others, 'swan'));
  renameSync(path.join(others, '5'), path.join(others, 'hook'));
  const words = ['train', '--task', 'image-classification', '--model', vit, '--steps', '1', '--threads', '1'];
  const [first, second, third] = ['first', 'second', 'third'].map((name) => path.join(folder, name));
  expect((await call([...words, '--data', data, '--out', first!, '--quiet'])).code).toBe(0);
  const same = await call([...words, '--data', data, '--from', first!, '--out', second!]);
  expect(same.code).toBe(0);
  expect(same.stderr).not.toContain('starts over');
  expect((await loadAdapter(second!)).notes.labels).toEqual(['bar', 'chair', 'snowman']);
  const other = await call([...words, '--data', others, '--from', first!, '--out', third!]);
  expect(other.stderr).toContain(
    'The labels are not those of the adapter that the run begins with (bar, chair, snowman): classifier starts over.',
  );
  expect(other.code).toBe(0);
  const { notes, tensors } = await loadAdapter(third!);
  expect(notes.labels).toEqual(['hook', 'swan']);
  expect(tensors.get('base_model.model.classifier.weight')!.dims[0]).toBe(2);
});
