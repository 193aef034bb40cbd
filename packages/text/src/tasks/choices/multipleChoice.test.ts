/** @file Multiple choice: what is read, what is taught, and that it is counted and chosen as `chooseAnswers` finds it likely. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluate, openPredictor, train } from '@onnx-lora/sdk';
import type { Answer, ReportSection, RunnableModel } from '@onnx-lora/sdk/tasks';
import { afterAll, describe, expect, it, test } from 'vitest';
import { type GivenChoice, readChoices } from '../../data/readChoices.ts';
import { openBigrams } from '../../fixtures/bigrams.ts';
import { choiceScores, chooseAnswers } from '../../metrics/chooseAnswers.ts';
import { multipleChoice } from './multipleChoice.ts';

const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-choices-'));
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

describe('data', () => {
  test.each([
    ['a number', { question: 'Q', choices: ['a b', 'c'], answer: 1 }],
    ['the text', { query: 'Q', options: ['a b', 'c'], answer: 'c' }],
    ['a letter', { question: 'Q', choices: ['a b', 'c'], answerKey: 'B' }],
    ['a number as text, as HellaSwag has it', { ctx: 'Q', endings: ['a b', 'c'], label: '1' }],
    ['names of choices, as ARC has them', { question: 'Q', choices: { text: ['a b', 'c'], label: ['1', '2'] }, answerKey: '2' }], // prettier-ignore
  ])('an answer is %s', async (_, row) => {
    const { train: read } = await readChoices(write('one.jsonl', JSON.stringify(row)));
    expect(read).toEqual([{ prompt: 'Q', choices: ['a b', 'c'], answer: 1, where: expect.stringContaining('line 1') as string }]); // prettier-ignore
  });

  it('is in CSV, in messages, and in parts where questions that ask the same stay together', async () => {
    const csv = write('data.csv', 'question,choices,answer\nQ,"[""a"", ""b""]",1\nQ,"[""c"", ""d""]",0\nR,"[""e"", ""f""]",f\n'); // prettier-ignore
    const { train: some, validation = [] } = await readChoices(csv, { validation: 0.4 });
    const [larger, smaller] = [some, validation].toSorted((a, b) => b.length - a.length);
    expect(larger!.map(({ prompt, answer }) => [prompt, answer])).toEqual([['Q', 1], ['Q', 0]]); // prettier-ignore
    expect(smaller!.map(({ prompt, answer }) => [prompt, answer])).toEqual([['R', 1]]);
    const prompt = [{ role: 'user', content: 'Q' }];
    expect((await readChoices([{ prompt, choices: ['a', 'b'], answer: 0 }])).train[0]!.prompt).toEqual(prompt);
  });

  test.each<[string, object, RegExp]>([
    [
      'an answer that is none',
      { choices: ['a', 'b'], answer: 2 },
      /line 1: its answer is 2, but its 2 choices have neither this number/,
    ],
    [
      'a text that is none',
      { choices: ['a', 'b'], answer: 'cc' },
      /its answer is "cc", but its 2 choices have neither/,
    ],
    ['no answer', { choices: ['a', 'b'] }, /has no column .*answer|right answer/],
    ['one choice', { choices: ['a'], answer: 0 }, /its choices are \["a"\], and should be a list of two texts or more/],
    ['no list', { choices: 'a', answer: 0 }, /its choices are "a"/],
  ])('%s is refused', async (_, row, message) => {
    const file = write('bad.jsonl', JSON.stringify({ question: 'Q', ...row }));
    await expect(readChoices(file)).rejects.toThrow(message);
    await expect(readChoices(file)).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});

test('what is right as a whole and by byte is counted apart, as often as each question is drawn', () => {
  const asked = [0, 1, undefined].map((answer) => ({ prompt: 'Q', choices: ['a', 'b'], answer }));
  const chosen = [1, 1, 0].map((choiceByByte, i) => ({ logProbabilities: [], choice: [0, 1, 1][i]!, choiceByByte }));
  expect(choiceScores(asked, chosen)).toEqual({ accuracy: 1, accuracyByByte: 0.5 });
  expect(choiceScores(asked, chosen, [3, 1, 5])).toEqual({ accuracy: 1, accuracyByByte: 0.25 });
});

async function all(answers: AsyncIterable<Answer>): Promise<Answer[]> {
  const found: Answer[] = [];
  for await (const each of answers) found.push(each);
  return found;
}

/** The model knows the last token alone, so that questions end in words of their own. */
const questions: readonly GivenChoice[] = [
  ['The cat', ['sat', 'flew over', 'is a number']],
  ['A linker', ['sings', 'joins object files', 'rains']],
  ['Every bird', ['reads books', 'compiles', 'has two wings']],
  ['One editor', ['writes text', 'barks', 'melts']],
].map(([prompt, choices], i) => ({ prompt: prompt as string, choices: choices as string[], answer: [0, 1, 2, 0][i]! }));

describe('a model', async () => {
  const model = await openBigrams(join(folder, 'model'));
  const parts = (['train', 'validation'] as const).flatMap((split) => questions.map((each) => ({ ...each, split })));
  const task = multipleChoice(parts);
  // Without the head, the adapter has 8 numbers for each token: too few to learn all answers.
  const run = await train(model, { task, lora: { targetModules: ['up_proj', 'lm_head'], r: 8 }, steps: 60, lr: 0.03, batchSize: 4, threads: 1, seed: 1 }); // prettier-ignore
  const { adapter } = await run.done;
  const own = { adapter, threads: 1 };
  const asked = (await readChoices(questions)).train;

  it('learns what is right, and is counted as lm-evaluation-harness counts', async () => {
    for (const which of [{ threads: 1 }, own]) {
      const { answers } = await chooseAnswers(model, asked, which);
      // acc and acc_norm of its `process_results_mcq`: the first of the largest, and that of log-probability by byte.
      const first = (of: (said: number, choice: string) => number): number =>
        answers.filter(({ logProbabilities }, i) => {
          const values = logProbabilities.map((each, k) => of(each, asked[i]!.choices[k]!));
          return values.indexOf(Math.max(...values)) === asked[i]!.answer;
        }).length / 4;
      const { metrics, intervals, examples } = await evaluate(model, { task, ...which });
      expect(metrics).toEqual({ accuracy: first((said) => said), accuracyByByte: first((said, choice) => said / Buffer.byteLength(choice)) }); // prettier-ignore
      expect(examples).toBe(4);
      const [low, high] = intervals!['accuracy']!;
      expect(low).toBeLessThanOrEqual(metrics.accuracy);
      expect(high).toBeGreaterThanOrEqual(metrics.accuracy);
      expect(metrics.accuracy === 1).toBe('adapter' in which);
    }
  });

  it('measures those that are asked for', async () => {
    const data = await task.prepare(model);
    const request = { model: model as RunnableModel, options: { threads: 1 }, batchSize: 4 };
    const rights = (await chooseAnswers(model, asked, { threads: 1 })).answers.map(({ choice }, i) => Number(choice === asked[i]!.answer)); // prettier-ignore
    for (const [i, right] of rights.entries())
      expect((await data.measure!({ ...request, examples: [i] })).metrics.accuracy).toBe(right);
  });

  it('names its choice with the probabilities of all', async () => {
    const rows = asked.map(({ prompt, choices }) => JSON.stringify({ question: prompt, choices }));
    const file = write('asked.jsonl', rows.join('\n'));
    const predictor = await openPredictor(model, { adapter, threads: 1, task: 'multiple-choice' });
    const found = await all(predictor.predict([file, file], { skip: 1 }));
    const { answers } = await chooseAnswers(model, asked, own);
    expect(found.map(({ source }) => source)).toEqual([0, 0, 0, 1, 1, 1, 1]);
    for (const [i, { prediction }] of found.slice(3).entries()) {
      const said = answers[i]!.logProbabilities.map((each) => Math.exp(each));
      const total = said.reduce((sum, each) => sum + each, 0);
      const probabilities = prediction['probabilities'] as number[];
      for (const [k, each] of said.entries()) expect(probabilities[k]).toBeCloseTo(each / total, 6);
      const right = asked[i]!.answer!;
      expect(prediction).toMatchObject({
        choice: right,
        answer: asked[i]!.choices[right],
        score: probabilities[right],
      });
    }
    expect(await all(predictor.predict([file, file], { skip: 5 }))).toEqual(found.slice(4));
    const base = await all(predictor.predict([file], { adapter: null }));
    expect(base.map(({ prediction }) => prediction['choice'])).toEqual((await chooseAnswers(model, asked, { threads: 1 })).answers.map(({ choice }) => choice)); // prettier-ignore
    await predictor.release();
  });

  it('is reported on with its mistakes', async () => {
    const data = await task.prepare(model);
    const request = { model: model as RunnableModel, adapter, options: { threads: 1 }, batchSize: 4, run: () => Promise.reject(new Error('It runs by itself.')) }; // prettier-ignore
    const rowsOf = (sections: readonly ReportSection[]): (readonly unknown[])[] =>
      sections.flatMap((section) => ('rows' in section ? [section.rows] : []));
    // The run has the metrics already.
    expect(rowsOf(await data.report!(request))).toEqual([[]]);
    const { adapter: _, ...alone } = request;
    const [mistakes] = rowsOf(await data.report!(alone as typeof request));
    const { answers } = await chooseAnswers(model, asked, { threads: 1 });
    const missed = asked.filter(({ answer }, i) => answers[i]!.choice !== answer);
    expect(new Set(mistakes!.map((row) => (row as readonly string[])[0]))).toEqual(new Set(missed.map(({ prompt }) => prompt))); // prettier-ignore
  });
});
