/** @file Scores of texts are those of rouge_score and SQuAD, and likelihoods of choices those of transformers. */

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadAdapter, openModel } from '@onnx-lora/sdk';
import { describe, expect, test } from 'vitest';
import { textPlugin } from '../plugin.ts';
import { chooseAnswers } from './chooseAnswers.ts';
import { textScores } from './textScores.ts';

type Likelihoods = readonly Readonly<Record<'texts' | 'answers', readonly number[]>>[];

interface Golden {
  readonly scores: readonly { readonly written: string; readonly wanted: string; readonly f1: number; readonly rougeL: number }[]; // prettier-ignore
  readonly questions: readonly { readonly prompt: string; readonly choices: readonly string[] }[];
  readonly adapter: Likelihoods;
  readonly base: Likelihoods;
}

const golden = JSON.parse(readFileSync(new URL('../fixtures/textScores.json', import.meta.url), 'utf8')) as Golden;

test.each(golden.scores)('$written beside $wanted', ({ written, wanted, f1, rougeL }) => {
  const found = textScores(written, wanted);
  expect(found.f1).toBeCloseTo(f1, 12);
  expect(found.rougeL).toBeCloseTo(rougeL, 12);
  expect(found.exactMatch).toBe(Number(written.trim() === wanted));
});

const shared = fileURLToPath(new URL('../../../../../shared/', import.meta.url));
const oracle = `${shared}oracle/generate/text/llama-tiny/`;

describe.skipIf(!existsSync(oracle))('choices (need ../shared beside the checkout)', async () => {
  if (!existsSync(oracle)) return;
  const model = await openModel(`${shared}models/llama-tiny`, { plugins: [textPlugin] });
  const adapter = await loadAdapter(`${oracle}adapter`);

  test.each(['base', 'adapter'] as const)('are as likely as transformers finds them: %s', async (which) => {
    const own = which === 'adapter' ? { adapter } : {};
    // As messages only the answer, and what ends it, counts.
    for (const form of ['texts', 'answers'] as const) {
      const questions = golden.questions.map(({ prompt, choices }, i) => ({
        prompt: form === 'texts' ? prompt : [{ role: 'user', content: prompt }],
        choices,
        ...(i < 2 && { answer: 0 }),
      }));
      const expected = golden[which].map((each) => each[form]);
      const { answers, accuracy, accuracyByByte } = await chooseAnswers(model, questions, { ...own, batchSize: 4, threads: 1 }); // prettier-ignore
      for (const [i, { logProbabilities }] of answers.entries())
        for (const [k, value] of logProbabilities.entries()) expect(value).toBeCloseTo(expected[i]![k]!, 3);
      const best = (values: readonly number[]): number => values.indexOf(Math.max(...values));
      const byByte = expected.map((own2, i) =>
        own2.map((each, k) => each / Buffer.byteLength(questions[i]!.choices[k]!)),
      );
      expect(answers.map(({ choice }) => choice)).toEqual(expected.map(best));
      expect(answers.map(({ choiceByByte }) => choiceByByte)).toEqual(byByte.map(best));
      expect(accuracy).toBe([0, 1].filter((i) => best(expected[i]!) === 0).length / 2);
      expect(accuracyByByte).toBe([0, 1].filter((i) => best(byByte[i]!) === 0).length / 2);
    }
  });

  test('need something to choose', async () => {
    await expect(chooseAnswers(model, [{ prompt: 'a', choices: [] }])).rejects.toThrow(/Question 1 has 0 choices/);
    await expect(chooseAnswers(model, [{ prompt: 'a', choices: ['b'], answer: 1 }])).rejects.toThrow(/none of them/);
  });
});
