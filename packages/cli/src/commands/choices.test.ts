/** @file Tests of multiple choice from questions in a file to choices, on the command line. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { call, callJson, temporaryFolder } from '../../fixtures/call.ts';

const model = fileURLToPath(new URL('../../../../docs/examples/models/llama-tiny', import.meta.url));

it('questions are taught, measured with intervals, reported on and answered', async () => {
  const folder = temporaryFolder();
  const at = (name: string): string => path.join(folder, name);
  const ask = (n: number) => ({ question: `Package ${n} is`, choices: ['a kernel module', 'a text editor', 'a font'], answer: 1 }); // prettier-ignore
  const write = (name: string, rows: readonly object[]): string => {
    writeFileSync(at(name), rows.map((row) => JSON.stringify(row)).join('\n'));
    return at(name);
  };
  const data = write(
    'data.jsonl',
    Array.from({ length: 24 }, (_, i) => ask(i)),
  );
  const run = at('run');
  const words = [
    '--task',
    'multiple-choice',
    '--model',
    model,
    '--data',
    data,
    '--validation',
    '0.25',
    '--threads',
    '1',
  ];
  const trained = await callJson('train', ...words, '--out', run, '--steps', '12', '--lr', '5e-3');
  expect(trained).toMatchObject({ after: { accuracy: 1, accuracyByByte: 1 } });
  const measured = await callJson('eval', ...words, '--adapter', run);
  expect(measured).toMatchObject({ accuracy: 1, intervals: { accuracy: [1, 1] } });
  const report = readFileSync(path.join(run, 'report.html'), 'utf8');
  expect(report).toContain('0 of 6 held-out questions are answered wrongly');
  const { answer: _, ...open } = ask(99);
  const answers = at('answers.jsonl');
  const asked = write('open.jsonl', [open, open]);
  const { code } = await call(['predict', model, asked, '--task', 'multiple-choice', '--adapter', run, '--out', answers]); // prettier-ignore
  expect(code).toBe(0);
  const lines = readFileSync(answers, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as object); // prettier-ignore
  expect(lines).toMatchObject([{ answer: 'a text editor', choice: 1 }, { answer: 'a text editor', choice: 1 }]); // prettier-ignore
});
