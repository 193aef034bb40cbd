/** @file Classes of words: entities as seqeval counts them, data, training, answers. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { evaluate, type Feeds, float32, int64, type Model, modelForAdapter, openModel, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { type Answer, intervalsOf, type ReportRequest, type ReportSection } from '@onnx-lora/sdk/tasks';
import { openTokenizer } from '@onnx-lora/sequences';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { dataFolder } from '../../../../sequences/src/fixtures/dataFolder.ts';
import { readTaggedTexts, words, wordsOf } from '../../data/taggedText.ts';
import { textPlugin } from '../../plugin.ts';
import { areEntities, entitiesOf, entityMetrics } from './entities.ts';
import { openTokenClassifier, tokenClassification } from './tokenClassification.ts';

let model: Model;
beforeAll(async () => {
  const folder = fileURLToPath(new URL('../../../../../docs/examples/models/minilm-tiny', import.meta.url));
  model = await openModel(folder, { plugins: [textPlugin] });
});

describe('entities', () => {
  const golden = JSON.parse(readFileSync(new URL('../../fixtures/entities.json', import.meta.url), 'utf8')) as {
    readonly labels: string[];
    readonly cases: {
      readonly true: string[];
      readonly found: string[];
      readonly entities: [string, number, number][];
    }[];
    readonly scores: Record<'entityF1' | 'entityPrecision' | 'entityRecall', number>;
  };

  it('are those of seqeval', () => {
    expect(golden.cases).toHaveLength(60);
    for (const { true: tags, entities } of golden.cases)
      expect(entitiesOf(tags).map(({ label, from, to }) => [label, from, to])).toEqual(entities);
    expect([areEntities(golden.labels), areEntities(['NOUN', 'O'])]).toEqual([true, false]);
  });

  it('are counted as by seqeval', () => {
    const { labels, cases, scores } = golden;
    const metrics = entityMetrics({ output: 'logits', labels });
    const longest = Math.max(...cases.map((each) => each.true.length));
    const number = (tag: string | undefined): number => (tag === undefined ? -100 : labels.indexOf(tag));
    cases.forEach(({ true: truths, found }, record) => {
      const logits = found.flatMap((tag) => labels.map((label) => Number(label === tag)));
      const padding = Array.from({ length: (longest - found.length) * labels.length }, () => 0);
      metrics.update(
        { logits: float32([...logits, ...padding], [1, longest, labels.length]) },
        {
          labels: int64(Array.from({ length: longest }, (_, i) => number(truths[i])), [1, longest]),
          places: int64([record, 1, 0, 0], [1, 4]),
        }, // prettier-ignore
      );
    });
    const result = metrics.result();
    for (const name of Object.keys(scores) as (keyof typeof scores)[])
      expect(result[name]).toBeCloseTo(scores[name], 12);
    const [low, high] = intervalsOf(metrics.draws!())['entityF1']!;
    expect(low < scores.entityF1 && scores.entityF1 < high).toBe(true);
  });
});

test('the first token of each word answers for it', async () => {
  const tokenizer = await openTokenizer(model);
  const text = 'Help me, repair my mobile phone.';
  const record = { id: '1', where: '1', sequence: text, words: wordsOf(text) };
  expect(record.words.map(([from, to]) => text.slice(from, to))).toEqual(['Help', 'me', ',', 'repair', 'my', 'mobile', 'phone', '.']); // prettier-ignore
  const { starts } = tokenizer.tokens(text);
  const found = words.ofTokens(record, tokenizer);
  found.forEach((word, token) => {
    if (word !== undefined) expect(starts[token]).toBe(record.words[word]![0]);
  });
  expect(found.filter((word) => word !== undefined)).toEqual([...record.words.keys()]);
});

describe('data', () => {
  test('are lists in a table, or lines of CoNLL', async () => {
    const folder = dataFolder({
      'a.jsonl': '{"tokens":["to","Paris"],"tags":["O","B-LOC"],"split":"train"}\n{"tokens":["we"],"tags":[null],"split":"test"}\n', // prettier-ignore
      'b/train.conll': '-DOCSTART- O\n\nto PRP O\nParis NNP B-LOC\n\n\nwe PRP O\n',
      'b/dev.conll': 'Rome\tB-LOC\n',
    });
    const shown = (records: readonly { sequence: string; tags?: unknown }[] = []): unknown[] =>
      records.map(({ sequence, tags }) => [sequence, tags]);
    const table = await readTaggedTexts(join(folder, 'a.jsonl'), { evalSplit: 'test' });
    expect([shown(table.train), shown(table.test)]).toEqual([[['to Paris', ['O', 'B-LOC']]], []]);
    expect(shown(table.validation)).toEqual([['we', [null]]]);
    const conll = await readTaggedTexts(join(folder, 'b'));
    expect(shown(conll.train)).toEqual([['to Paris', ['O', 'B-LOC']], ['we', ['O']]]); // prettier-ignore
    expect(shown(conll.validation)).toEqual([['Rome', ['B-LOC']]]);
  });

  test('that lack something are told', async () => {
    const prepared = (content: string, name: string) => tokenClassification(join(dataFolder({ [name]: content }), name), { validation: 0 }).prepare(model); // prettier-ignore
    await expect(
      prepared('{"tokens":["a","b"],"tags":["O"]}\n{"tokens":["a"],"tags":["X"]}\n', 'd.jsonl'),
    ).rejects.toThrow(/has 1 labels for 2 words/);
    await expect(prepared('{"words":["a"],"colour":["red"]}\n', 'd.jsonl')).rejects.toThrow(/no column for the list of the words' classes/); // prettier-ignore
    await expect(prepared('to O\nParis\n', 'd.conll')).rejects.toThrow(/line 2: a line has a word and its class/);
    await expect(prepared('to O\nParis O\n', 'd.conll')).rejects.toThrow(/All words have the class "O"/);
  });
});

const things = ['phone', 'laptop', 'bike', 'sofa', 'car', 'jacket', 'rug', 'cup', 'letter', 'gift'];
const verbs = ['fix', 'repair', 'buy', 'send', 'clean', 'sell', 'hide', 'lift'];

/** Sentences in which things are entities of one or two words. */
function sentences(count: number): { tokens: string[]; tags: string[] }[] {
  const random = new Random(5);
  const one = <T>(list: readonly T[]): T => list[random.index(list.length)]!;
  return Array.from({ length: count }, () => {
    const thing = random.next() < 0.5 ? [one(things)] : ['mobile', one(things)];
    const tokens = ['how', 'can', 'i', one(verbs), one(['the', 'my', 'a']), ...thing];
    return { tokens, tags: tokens.map((_, i) => (i < 5 ? 'O' : i === 5 ? 'B-THING' : 'I-THING')) };
  });
}

describe('the report', () => {
  const data = (split: 'train' | 'test'): object => {
    return { tokens: ['we', 'met', 'Ada', 'Lovelace', 'in', 'Paris'], tags: ['O', 'O', 'B-PER', 'I-PER', 'O', 'B-LOC'], split }; // prettier-ignore
  };

  /** The report of answers that are one class for every word. */
  async function reported(records: readonly object[], label: string): Promise<readonly ReportSection[]> {
    const folder = dataFolder({ 'd.jsonl': records.map((each) => `${JSON.stringify(each)}\n`).join('') });
    const task = await tokenClassification(join(folder, 'd.jsonl'), { evalSplit: 'test' }).prepare(model);
    const labels = task.head!.labels!;
    return task.report!({
      run: ({ input_ids: ids }: Feeds) => {
        const [rows, tokens] = ids!.dims as [number, number];
        const logits = Array.from({ length: rows * tokens }, () => labels.map((each) => Number(each === label))).flat();
        return Promise.resolve({ logits: float32(logits, [rows, tokens, labels.length]) });
      },
      batchSize: 4,
      model,
      options: {},
    } as unknown as ReportRequest);
  }
  const called = (sections: readonly ReportSection[], name: string): ReportSection => sections.find(({ title }) => title === name)!; // prettier-ignore

  it('tells missed, invented and wrong entities apart, and shows them in their texts', async () => {
    const records = [data('train'), data('test')];
    const places = await reported(records, 'B-LOC');
    expect(called(places, 'Entities')).toMatchObject({
      // In the data, precision, recall, F1, missed, invented, wrong.
      rows: [
        ['LOC', 1, 0.1667, 1, 0.2857, 0, 3, 2],
        ['PER', 1, 0, 0, 0, 0, 0, 0],
      ],
    });
    expect(called(places, 'Texts with the most mistakes')).toMatchObject({
      clips: [
        {
          title: '2: 5 mistakes',
          lines: [
            { pieces: [{ text: 'we met' }, { text: 'Ada Lovelace', label: 'PER' }, { text: 'in' }, { text: 'Paris', label: 'LOC' }] }, // prettier-ignore
            {
              pieces: [
                ...['we', 'met'].map((text) => ({ text, label: 'LOC', mark: 'extra' })),
                ...['Ada', 'Lovelace'].map((text) => ({ text, label: 'LOC', mark: 'wrong' })),
                { text: 'in', label: 'LOC', mark: 'extra' },
                { text: 'Paris', label: 'LOC' },
              ],
            },
          ],
        },
      ],
    });
    const nothing = await reported(records, 'O');
    expect(called(nothing, 'Entities')).toMatchObject({
      rows: [
        ['LOC', 1, 0, 0, 0, 1, 0, 0],
        ['PER', 1, 0, 0, 0, 1, 0, 0],
      ],
    });
    const [clip] = (called(nothing, 'Texts with the most mistakes') as Extract<ReportSection, { kind: 'clips' }>).clips;
    expect(clip!.lines[0]!.pieces.map(({ mark }) => mark)).toEqual([undefined, 'missing', undefined, 'missing']);
    expect(clip!.lines[1]!.pieces).toEqual([{ text: 'we met Ada Lovelace in Paris' }]);
  });

  it('shows words of another class where each word has one', async () => {
    const words = (split: string): object => ({ tokens: ['we', 'met', 'Ada'], tags: ['PRON', 'VERB', 'NOUN'], split });
    const sections = await reported([words('train'), words('test')], 'VERB');
    expect(called(sections, 'Entities')).toBeUndefined();
    const [clip] = (called(sections, 'Texts with the most mistakes') as Extract<ReportSection, { kind: 'clips' }>)
      .clips;
    expect(clip!.lines.map(({ pieces }) => pieces)).toEqual([
      [{ text: 'we', label: 'PRON' }, { text: 'met' }, { text: 'Ada', label: 'NOUN' }],
      [{ text: 'we', label: 'VERB', mark: 'wrong' }, { text: 'met' }, { text: 'Ada', label: 'VERB', mark: 'wrong' }],
    ]);
  });
});

test('names are learned, measured, and found in new texts', async () => {
  const all = sentences(160);
  const folder = dataFolder({ 'all.jsonl': all.map((each, i) => `${JSON.stringify({ ...each, split: i < 120 ? 'train' : 'test' })}\n`).join('') }); // prettier-ignore
  const task = tokenClassification(join(folder, 'all.jsonl'), { evalSplit: 'test' });
  const run = await train(model, { task, steps: 60, batchSize: 16, lr: 1e-2, threads: 1, lora: { r: 8 } });
  const { adapter } = await run.done;
  const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
  expect(metrics['accuracy']).toBeGreaterThan(0.95);
  const held = all.slice(120);
  writeFileSync(join(folder, 'new.txt'), held.map(({ tokens }) => `${tokens.join(' ')}\n`).join(''));
  const predictor = await openTokenClassifier(modelForAdapter<Model>(model, adapter), {
    adapter,
    load: { threads: 1 },
  });
  const answers: Answer[] = [];
  for await (const each of predictor.predict([join(folder, 'new.txt')])) answers.push(each);
  await predictor.release();
  const found = answers.map(({ prediction }) => prediction['entities'] as unknown as { label: string; text: string; start: number }[]); // prettier-ignore
  const wanted = held.map(({ tokens }) => ({ text: tokens.slice(5).join(' '), start: tokens.slice(0, 5).join(' ').length + 1 })); // prettier-ignore
  const right = found.filter((own, i) => own.length === 1 && own[0]!.text === wanted[i]!.text && own[0]!.start === wanted[i]!.start && own[0]!.label === 'THING').length; // prettier-ignore
  expect(right / held.length).toBeCloseTo(metrics['entityRecall']!, 12);
});
