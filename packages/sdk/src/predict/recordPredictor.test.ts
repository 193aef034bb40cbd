/** @file Tests of batches, order, adapters and sources that cannot be read, on a model that is none. */

import { describe, expect, it } from 'vitest';
import type { Adapter } from '../adapter/adapter.ts';
import { int64 } from '../runtime/tensor.ts';
import type { Answer, PredictOptions, RecordProcessor, Source } from '../plugin/predictor.ts';
import type { RunnableModel } from '../plugin/taskModel.ts';
import { filePredictor } from './filePredictor.ts';
import { recordPredictor } from './recordPredictor.ts';
import { requireNamedAdapters } from './sources.ts';

/** Gives what it is fed, and notes what it was fed with which adapters. */
function model(runs: unknown[]): RunnableModel {
  const own = {
    outputs: {},
    withOutputs: () => own,
    session: () =>
      Promise.resolve({
        run: ({ x }: { x: { data: BigInt64Array } }, { adapter }: { adapter: unknown }) => {
          runs.push([[...x.data].map(Number), adapter]);
          return Promise.resolve({ y: x });
        },
        release: () => Promise.resolve(),
      }),
  };
  return own as unknown as RunnableModel;
}

/** A source is a text of words; a word is fed as rows of its letters' codes, `each` letters in a row. */
function words(each: number, changes: Partial<RecordProcessor<string, string, string>> = {}) {
  const processor: RecordProcessor<string, string, string> = {
    async *records(source) {
      await Promise.resolve();
      for (const item of (source as string).split(' ')) {
        if (item === '?') throw new Error(`"${source as string}" cannot be read`);
        yield { item };
      }
    },
    rows: (word) => word.match(new RegExp(`.{1,${each}}`, 'g'))!,
    feeds: (rows) => ({ x: int64(rows.map((row) => row.length), [rows.length]) }), // prettier-ignore
    decode: ({ y }, { x }, rows) => rows.map((row, i) => (y!.data[i] === x!.data[i] ? row : 'wrong')),
    answers: (word, rows) => [{ word, again: rows.map(({ found }) => found).join('') }],
    lengths: { of: (row) => row.length, isPadded: true },
    ...changes,
  };
  return processor;
}

const all = async (answers: AsyncIterable<Answer>): Promise<Answer[]> => {
  const found: Answer[] = [];
  for await (const answer of answers) found.push(answer);
  return found;
};

const said = (answers: readonly Answer[]): string[] =>
  answers.map(({ source, prediction }) => `${source} ${String(prediction['again'])}`);

async function asked(
  processor: RecordProcessor<string, string, string>,
  sources: Source[],
  options: PredictOptions = {},
): Promise<{ readonly runs: unknown[]; readonly found: string[] }> {
  const runs: unknown[] = [];
  await using predictor = await recordPredictor(model(runs), processor);
  return { runs, found: said(await all(predictor.predict(sources, options))) };
}

describe('answers', () => {
  const sources = ['abcd a abcdefg ab', 'abc a'];
  const found = ['0 abcd', '0 a', '0 abcdefg', '0 ab', '1 abc', '1 a'];

  it('come in the order of the records, and batches hold rows of like length of one source', async () => {
    const answered = await asked(words(3), sources, { batchSize: 2 });
    expect(answered.found).toEqual(found);
    expect(answered.runs).toEqual([[[3, 3], null], [[3, 2], null], [[1, 1], null], [[1], null], [[3, 1], null]]); // prettier-ignore
  });

  it('that are there are left out, across sources, and nothing is computed for them', async () => {
    for (const skip of [0, 1, 3, 4, 5, 6]) {
      const { found: rest, runs } = await asked(words(9), sources, { skip });
      expect(rest).toEqual(found.slice(skip));
      expect((runs as [number[]][]).flatMap(([rows]) => rows)).toHaveLength(found.length - skip);
    }
    const twice = words(9, { count: () => 2, answers: (word) => [{ again: word }, { again: `${word}!` }] });
    expect((await asked(twice, ['a b'], { skip: 1 })).found).toEqual(['0 a!', '0 b', '0 b!']);
  });

  it('end before the next batch when they are no longer wanted', async () => {
    const stop = new AbortController();
    const runs: unknown[] = [];
    const processor = words(9, { lookAhead: 1 });
    await using predictor = await recordPredictor(model(runs), processor);
    const seen: Answer[] = [];
    for await (const answer of predictor.predict(['a b c d'], { batchSize: 2, signal: stop.signal })) {
      seen.push(answer);
      stop.abort();
    }
    expect([said(seen), runs.length]).toEqual([['0 a', '0 b'], 1]);
  });

  it('of a source that cannot be read are its error, or left out where somebody hears of it', async () => {
    await expect(asked(words(9), ['a', 'b ? c', 'd'])).rejects.toThrow('"b ? c" cannot be read');
    const bad: unknown[] = [];
    const onBadSource = (source: number, error: unknown): number => bad.push(source, (error as Error).message);
    expect((await asked(words(9), ['a', 'b ? c', 'd'], { onBadSource })).found).toEqual(['0 a', '1 b', '2 d']);
    expect(bad).toEqual([1, '"b ? c" cannot be read']);
  });

  it('of a batch of files are there without the one that cannot be read', async () => {
    const runs: unknown[] = [];
    const feeds = async (files: readonly string[]) => {
      if (files.includes('bad')) throw new Error('bad is no image');
      return Promise.resolve({ x: int64(files.map(({ length }) => length), [files.length]) }); // prettier-ignore
    };
    const decode = ({ y }: Readonly<Record<string, { data: ArrayLike<unknown> }>>) => Array.from(y!.data, (again) => ({ again })); // prettier-ignore
    await using predictor = await filePredictor(model(runs), { feeds, decode });
    const files = ['a', 'bcd', 'bad', 'ef', 'g'];
    await expect(all(predictor.predict(files))).rejects.toThrow('bad is no image');
    const bad: number[] = [];
    const options: PredictOptions = { batchSize: 4, onBadSource: (source) => bad.push(source) };
    expect(said(await all(predictor.predict(files, options)))).toEqual(['0 1', '1 3', '3 2', '4 1']);
    expect([bad, runs]).toEqual([[2], [[[1, 3, 2], null], [[1], null]]]); // prettier-ignore
    const bytes = { async *[Symbol.asyncIterator]() {} };
    await expect(all(predictor.predict([bytes]))).rejects.toThrow('reads files, not streams');
    // A path is one source, and not one for each of its letters.
    expect(said(await all(predictor.predict('bcd')))).toEqual(['0 3']);
  });

  it('of sources that must be read first come in batches, without those that cannot be', async () => {
    const read = async (source: Source): Promise<string> => {
      if (source === 'bad') throw new Error('bad is no recording');
      return Promise.resolve((source as string).toUpperCase());
    };
    const runs: unknown[] = [];
    const whole = Object.fromEntries(
      Object.entries(words(9, { read, batchSize: 2, lookAhead: 2 })).filter(([name]) => name !== 'records'),
    ) as unknown as RecordProcessor<string, string, string>;
    await using predictor = await recordPredictor(model(runs), whole);
    const sources = ['a', 'bad', 'bcd', 'ef', 'g'];
    const bad: number[] = [];
    const options: PredictOptions = { onBadSource: (source) => bad.push(source) };
    expect(said(await all(predictor.predict(sources, options)))).toEqual(['0 A', '2 BCD', '3 EF', '4 G']);
    expect([bad, runs]).toEqual([[1], [[[3, 2], null], [[1, 1], null]]]); // prettier-ignore
    await expect(all(predictor.predict(sources))).rejects.toThrow('bad is no recording');
  });

  it('are made of as many rows as were fed', async () => {
    await expect(asked(words(9, { decode: () => ['a'] }), ['a b'])).rejects.toThrow('1 answers for 2 rows');
  });
});

describe('adapters', () => {
  const [one, two] = [{}, {}] as [Adapter, Adapter];
  const files = Object.fromEntries(
    Object.entries(words(9)).filter(([name]) => name !== 'records' && name !== 'lengths'),
  ) as unknown as RecordProcessor<string, string, string>;

  it('are those of each source, in one batch', async () => {
    const runs: unknown[] = [];
    await using predictor = await recordPredictor(model(runs), files, { adapter: one, adapters: { two } });
    expect(predictor.adapters).toEqual(['adapter', 'two']);
    const choose = (source: Source): string | null => ({ a: 'two', bc: null })[source as string] ?? null;
    await all(predictor.predict(['a', 'bc'], { adapter: choose }));
    await all(predictor.predict(['a', 'bc']));
    await all(predictor.predict(['a', 'bc'], { adapter: 'two' }));
    expect(runs).toEqual([[[1, 2], ['two', null]], [[1, 2], 'adapter'], [[1, 2], 'two']]); // prettier-ignore
    await expect(all(predictor.predict(['a'], { adapter: 'tow' }))).rejects.toThrow('There is no adapter "tow". Did you mean "two"? Those that the predictor was opened with are adapter, two.'); // prettier-ignore
    await expect(recordPredictor(model([]), files, { adapter: one, adapters: { adapter: two } })).rejects.toThrow('another one has that name too'); // prettier-ignore
  });

  it('have names, and no list of them is taken for the base', async () => {
    const list = { adapters: [two] } as unknown as Parameters<typeof recordPredictor>[2];
    const said = /adapters is a list of 1, and must give each adapter a name: \{ adapters: \{ photos: adapter \} \}/;
    await expect(recordPredictor(model([]), files, list)).rejects.toThrow(said);
    expect(() => requireNamedAdapters([] as never)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    requireNamedAdapters({ two });
  });

  it('of an ensemble answer together', async () => {
    const runs: unknown[] = [];
    const processor = { ...files, answers: (_: string, rows: readonly { members: readonly string[] }[]) => [{ again: rows[0]!.members.join('+') }] }; // prettier-ignore
    await using predictor = await recordPredictor(model(runs), processor, { adapter: one, ensemble: [two] });
    expect(said(await all(predictor.predict(['ab'])))).toEqual(['0 ab+ab']);
    expect(runs).toEqual([[[2], 'adapter'], [[2], 'adapter 2']]); // prettier-ignore
  });
});
