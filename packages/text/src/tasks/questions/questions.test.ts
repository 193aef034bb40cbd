/** @file Answers in texts: found as transformers finds them, compared as SQuAD compares, data, training, windows. */

import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import type { Answer } from '@onnx-lora/sdk/tasks';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { dataFolder } from '../../../../sequences/src/fixtures/dataFolder.ts';
import { type QuestionRecord, readQuestions } from '../../data/readQuestions.ts';
import { textPlugin } from '../../plugin.ts';
import { bestSpan, lettersOf, type SpanWindow } from './answerSpans.ts';
import { openQuestionAnswerer, questionAnswering } from './questionAnswering.ts';
import { matchOf } from './spanMetrics.ts';

let model: Model;
beforeAll(async () => {
  const folder = fileURLToPath(new URL('../../../../../docs/examples/models/minilm-tiny', import.meta.url));
  model = await openModel(folder, { plugins: [textPlugin] });
});

const golden = JSON.parse(readFileSync(new URL('../../fixtures/questions.json', import.meta.url), 'utf8')) as {
  readonly spans: {
    readonly offsets: readonly [number, number][];
    readonly windows: SpanWindow[];
    readonly most: number;
    readonly mayLack: boolean;
    readonly answer: string;
    readonly score: number;
  }[];
  readonly pairs: { readonly answer: string; readonly right: string; readonly exact: number; readonly f1: number }[];
};

test('the best answer over all windows is that of transformers, and so is its probability', () => {
  expect(golden.spans.filter(({ answer }) => answer === '').length).toBeGreaterThan(5);
  expect(golden.spans.filter(({ windows }) => windows.length > 1).length).toBeGreaterThan(10);
  for (const { offsets, windows, most, mayLack, answer, score } of golden.spans) {
    const text = offsets.map((_, i) => `w${i}`).join(' ');
    const placed = { starts: offsets.map(([start]) => start), ends: offsets.map(([, end]) => end) };
    const found = bestSpan(windows, { most, mayLack });
    expect(found.tokens ? text.slice(...lettersOf(text, placed, found.tokens)) : '').toBe(answer);
    expect(found.score).toBeCloseTo(score, 9);
  }
});

test("answers are compared as SQuAD's script does", () => {
  for (const { answer, right, exact, f1 } of golden.pairs) {
    const found = matchOf(answer, [right]);
    expect([answer, right, found.exact]).toEqual([answer, right, exact]);
    expect(found.f1).toBeCloseTo(f1, 12);
  }
  // The best of several answers, and no answer.
  expect(matchOf('tower', ['the Eiffel tower', 'a tower'])).toEqual({ exact: 1, f1: 1 });
  expect([matchOf('', []), matchOf('tower', [])]).toEqual([{ exact: 1, f1: 1 }, { exact: 0, f1: 0 }]); // prettier-ignore
});

describe('data', () => {
  const context = '𝔸da wrote it. Grace read it.';

  it("are SQuAD's files, tables, or rows as the hub has them", async () => {
    const squad = (impossible: boolean): string =>
      JSON.stringify({
        version: 'v2.0',
        data: [
          {
            title: 'Ada',
            paragraphs: [
              {
                context,
                qas: [
                  // SQuAD's places count code points; the first one takes two UTF-16 units.
                  { id: 'q1', question: 'Who read it?', answers: [{ text: 'Grace', answer_start: 14 }] },
                  { id: 'q2', question: 'Who sold it?', answers: [], is_impossible: impossible },
                ],
              },
            ],
          },
        ],
      });
    const folder = dataFolder({
      'squad/train-v2.0.json': squad(true),
      'squad/dev-v2.0.json': squad(true),
      'flat.csv': `question,context,answer,start,split\nWho read it?,${context},Grace,15,train\nWho wrote it?,${context},𝔸da,,test\nWho sold it?,${context},,,train\n`,
      'hub.jsonl': `${JSON.stringify({ id: 'a', question: 'Who?', context, answers: { text: ['Grace'], answer_start: [14] } })}\n`, // prettier-ignore
    });
    const shown = (records: readonly QuestionRecord[] = []): unknown[] =>
      records.map(({ id, answers }) => [id, answers]);
    const read = await readQuestions(join(folder, 'squad'));
    const both = [['q1', [{ text: 'Grace', start: 15 }]], ['q2', []]]; // prettier-ignore
    expect([shown(read.train), shown(read.validation)]).toEqual([both, both]);
    const flat = await readQuestions(join(folder, 'flat.csv'), { evalSplit: 'test' });
    expect(shown(flat.train)).toEqual([['1', [{ text: 'Grace', start: 15 }]], ['3', []]]); // prettier-ignore
    expect(shown(flat.validation)).toEqual([['2', [{ text: '𝔸da', start: 0 }]]]);
    expect(shown((await readQuestions(join(folder, 'hub.jsonl'), { validation: 0 })).train)).toEqual([['a', [{ text: 'Grace', start: 15 }]]]); // prettier-ignore
  });

  it('hold out questions about one text together', async () => {
    const records = Array.from({ length: 60 }, (_, i) => {
      return { question: `q${i}?`, context: `text ${i % 10} has it`, answers: [{ text: 'has', start: 7 }] };
    });
    const { train, validation = [] } = await readQuestions(records, { validation: 0.3 });
    const texts = new Set(train.map(({ second }) => second));
    expect(validation.length).toBeGreaterThan(0);
    expect(validation.some(({ second }) => texts.has(second))).toBe(false);
  });

  it.each([
    ['Who?,Ada wrote it.,Grace,0', /line 2: the text does not have the answer "Grace" at 0\. An answer stands in the text word for word/], // prettier-ignore
    ['Who?,Ada wrote it.,wrote,0', /the answer "wrote" at 0\. It is at 4: correct the place, or leave it out/],
    ['Who?,,Ada,0', /line 2: it has no text that is asked/],
    [',Ada wrote it.,Ada,0', /line 2: it has no question/],
  ])('with a wrong row are refused: %s', async (row, message) => {
    const folder = dataFolder({ 'd.csv': `question,context,answer,start\n${row}\n` });
    await expect(readQuestions(join(folder, 'd.csv'))).rejects.toThrow(message);
  });

  it('and settings that cannot be are told before anything is read', async () => {
    const task = questionAnswering('nowhere.json', { maxAnswer: 0 });
    await expect(task.prepare(model)).rejects.toThrow(/maxAnswer must be a whole number of at least 1, but it is 0/);
  });

  it('without what is needed are told', async () => {
    const folder = dataFolder({ 'd.csv': 'question,answer\nWho?,Ada\n', 'e.json': '{"data":[{"paragraphs":7}]}' });
    await expect(readQuestions(join(folder, 'd.csv'))).rejects.toThrow(/no column for the text that is asked/);
    await expect(readQuestions(join(folder, 'e.json'))).rejects.toThrow(/data\[0\]: it has no list "paragraphs"/);
  });
});

describe('a model that brings scores of beginnings and ends', () => {
  const fixtures = new URL('../../fixtures/tinyQuestions/', import.meta.url);
  const cases = JSON.parse(readFileSync(new URL('golden.json', fixtures), 'utf8')) as {
    readonly question: string;
    readonly context: string;
    readonly mayLack: boolean;
    readonly answer: string;
    readonly score: number;
  }[];
  /** With the tokenizer of the examples' model. */
  function ownModel(): Promise<Model> {
    const folder = dataFolder({});
    cpSync(fixtures, folder, { recursive: true });
    const words = new URL('../../../../../docs/examples/models/minilm-tiny/', import.meta.url);
    for (const file of ['tokenizer.json', 'tokenizer_config.json'])
      copyFileSync(new URL(file, words), join(folder, file));
    return openModel(folder, { plugins: [textPlugin] });
  }

  it.each([false, true])("answers as transformers' does, where texts may lack the answer: %s", async (mayLack) => {
    const asked = cases.filter((each) => each.mayLack === mayLack);
    const file = join(dataFolder({ 'q.jsonl': asked.map(({ question, context }) => `${JSON.stringify({ question, context })}\n`).join('') }), 'q.jsonl'); // prettier-ignore
    const answerer = await openQuestionAnswerer(await ownModel(), { mayLack, load: { threads: 1 } });
    const found: Answer[] = [];
    for await (const each of answerer.predict([file])) found.push(each);
    await answerer.release();
    found.forEach(({ prediction }, i) => {
      expect(prediction['answer']).toBe(asked[i]!.answer);
      expect(prediction['score']).toBeCloseTo(asked[i]!.score, 5);
    });
  });

  it('is trained as it is, with no new head', async () => {
    const records = cases.map(({ question, context, answer }) => {
      return { question, context, answers: [{ text: answer, start: context.indexOf(answer) }] };
    });
    const own = await ownModel();
    const task = questionAnswering(records, { validation: 0 });
    expect((await task.prepare(own)).head).toBeUndefined();
    const { losses } = await trained(own, task);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);
  });

  /** The losses of some steps. */
  async function trained(base: Model, task: ReturnType<typeof questionAnswering>): Promise<{ losses: number[] }> {
    const run = await train(base, { task, steps: 20, batchSize: 6, lr: 2e-2, threads: 1 });
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    return { losses };
  }
});

const things = ['phone', 'laptop', 'bike', 'sofa', 'car', 'jacket', 'rug', 'cup', 'letter', 'gift'];
const verbs = ['fix', 'buy', 'send', 'clean', 'sell', 'hide', 'lift', 'find'];

/** Questions for the thing to fix, buy, …, which one sentence of the text names. */
function questions(count: number, lacking = 0): object[] {
  const random = new Random(5);
  const one = <T>(list: readonly T[]): T => list[random.index(list.length)]!;
  return Array.from({ length: count }, (_, i) => {
    const own = random.permutation(verbs.length).slice(0, 3).map((v) => verbs[v]!); // prettier-ignore
    const said = own.map((verb) => `i want to ${verb} the ${one(things)}`);
    const context = said.join(' ');
    const isLacking = i < lacking;
    const asked = isLacking ? verbs.find((verb) => !own.includes(verb))! : own[0]!;
    const text = said[0]!.split(' ').at(-1)!;
    return {
      question: `how can i ${asked}`,
      context,
      answers: isLacking ? [] : [{ text, start: said[0]!.length - text.length }],
    };
  });
}

test('answers are learned, measured, found in new texts, and shown', async () => {
  const all = questions(160);
  const folder = dataFolder({ 'all.jsonl': all.map((each, i) => `${JSON.stringify({ ...each, split: i < 130 ? 'train' : 'test' })}\n`).join('') }); // prettier-ignore
  // No row holds a whole text: questions have 4 tokens, texts 18, rows 16 with 3 special ones.
  const task = questionAnswering(join(folder, 'all.jsonl'), { evalSplit: 'test', maxLength: 16, overlap: 4 });
  const run = await train(model, { task, steps: 150, batchSize: 16, lr: 2e-2, threads: 1, lora: { r: 8, targetModules: 'all-linear' } }); // prettier-ignore
  const { adapter } = await run.done;
  const before = await evaluate(model, { task, threads: 1 }).catch(() => undefined);
  const { metrics, intervals } = await evaluate(model, { task, adapter, threads: 1 });
  expect(before?.metrics['f1'] ?? 0).toBeLessThan(0.5);
  expect(metrics['f1']).toBeGreaterThan(0.7);
  expect(intervals!['f1']![1]).toBeGreaterThanOrEqual(metrics['f1']!);
  expect(metrics).not.toHaveProperty('noAnswerAccuracy');

  const held = all.slice(130) as { question: string; context: string; answers: { text: string; start: number }[] }[];
  writeFileSync(join(folder, 'new.jsonl'), held.map(({ question, context }) => `${JSON.stringify({ question, context })}\n`).join('')); // prettier-ignore
  const options = { adapter, load: { threads: 1 }, maxLength: 16, overlap: 4 };
  const answerer = await openQuestionAnswerer(modelForAdapter<Model>(model, adapter), options);
  const answers: Answer[] = [];
  for await (const each of answerer.predict([join(folder, 'new.jsonl')])) answers.push(each);
  await answerer.release();
  const found = answers.map(({ prediction }) => prediction as { answer: string; start: number; end: number });
  found.forEach(({ answer, start, end }, i) => expect(held[i]!.context.slice(start, end)).toBe(answer));
  const right = found.filter(({ answer }, i) => answer === held[i]!.answers[0]!.text).length;
  expect(right / held.length).toBeCloseTo(metrics['exactMatch']!, 12);
});

test('where texts may lack the answer, both kinds are measured', async () => {
  const all = questions(80, 30);
  const folder = dataFolder({ 'all.jsonl': all.map((each) => `${JSON.stringify(each)}\n`).join('') });
  const task = questionAnswering(join(folder, 'all.jsonl'), { validation: 0.4 });
  const run = await train(model, { task, steps: 20, batchSize: 16, lr: 1e-2, threads: 1 });
  const { adapter } = await run.done;
  const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
  expect(Object.keys(metrics)).toEqual(['f1', 'exactMatch', 'answeredF1', 'noAnswerAccuracy', 'loss']);
  expect(modelForAdapter<Model>(model, adapter).learned).toMatchObject({ mayLack: true });
});
