/** @file Tests of how texts are read, checked and divided. */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { OnnxLoraError } from '@onnx-lora/sdk';
import type { SequenceRecord, TargetKind } from '@onnx-lora/sequences';
import { describe, expect, test } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { readTextData } from './readTextData.ts';
import { streamTexts } from './streamTexts.ts';
import type { TextDataOptions } from './textColumns.ts';

type Content = Readonly<Record<string, string | Uint8Array>>;

const shown = (records: readonly SequenceRecord[] = []): unknown[] =>
  records.map(({ id, sequence, second, labels, values, group }) =>
    [id, sequence, second, labels?.join('|'), values, group].filter((each) => each !== undefined),
  );

/** The path of the only file, or of the folder. */
const put = (content: Content): string => {
  const names = Object.keys(content);
  return join(dataFolder(content), names.length === 1 ? names[0]! : '');
};

const read = (content: Content, wanted?: TargetKind, options?: TextDataOptions) =>
  readTextData(put(content), options, wanted);

async function failure(content: Content, wanted?: TargetKind, options?: TextDataOptions): Promise<string> {
  const error: unknown = await read(content, wanted, options).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(OnnxLoraError);
  return (error as OnnxLoraError).message;
}

describe('a table', () => {
  test.each<[string, Content]>([
    ['CSV', { 'd.csv': 'text,label\n"No, it does not.",defect\nHow much?,price\n' }],
    ['semicolons and a BOM', { 'd.csv': '\uFEFFsentence;category\r\n"No, it does not.";defect\r\nHow much?;price' }],
    ['TSV', { 'd.tsv': 'body\ttopic\nNo, it does not.\tdefect\nHow much?\tprice\n' }],
    ['JSONL', { 'd.jsonl': '{"text":"No, it does not.","label":"defect"}\n{"text":"How much?","label":"price"}' }],
    ['JSON', { 'd.json': '[{"review":"No, it does not.","class":"defect"},{"review":"How much?","class":"price"}]' }],
    ['UTF-16, as Excel writes it', { 'd.csv': Buffer.from('\uFEFFtext\tlabel\r\nNo, it does not.\tdefect\r\nHow much?\tprice', 'utf16le') }], // prettier-ignore
    ['gzip', { 'd.csv.gz': gzipSync('mail,label\n"No, it does not.",defect\nHow much?,price\n') }],
  ])('as %s', async (_, content) => {
    const { train, validation } = await read(content, 'label');
    expect(shown(train)).toEqual([
      ['1', 'No, it does not.', 'defect'],
      ['2', 'How much?', 'price'],
    ]);
    expect(validation).toBeUndefined();
  });

  test('of pairs, with splits, groups, numbers and ids', async () => {
    const text = 'id,sentence1,sentence2,score,split,author\na,A cat.,A tom.,4.5,train,x\nb,A cat.,A car.,0,test,y\n';
    const { train, test: held, valueNames, splitBy } = await read({ 'd.csv': text }, 'values', { evalSplit: 'test' });
    expect(shown(train)).toEqual([['a', 'A cat.', 'A tom.', [4.5], 'x']]);
    expect(shown(held)).toEqual([]);
    expect([valueNames, splitBy]).toEqual([['score'], 'as the column "split" says']);
  });

  test('with labels, listed or as columns of 0 and 1', async () => {
    expect(shown((await read({ 'd.csv': 'text,labels\nA b,x|y\nC d,\n' }, 'labels')).train)).toEqual([
      ['1', 'A b', 'x|y'],
      ['2', 'C d', ''],
    ]);
    const options = { columns: { labels: ['x', 'y'] } };
    expect(shown((await read({ 'd.csv': 'text,x,y\nA b,1,0\nC d,1,1\n' }, 'labels', options)).train)).toEqual([
      ['1', 'A b', 'x'],
      ['2', 'C d', 'x|y'],
    ]);
  });
});

test('a folder of text files for each class, also within splits', async () => {
  const { train, validation } = await read(
    { 'train/price/1.txt': 'How much?\n', 'train/defect/1.txt': 'It is broken.', 'valid/price/2.txt': 'And this?', 'valid/defect/3.txt': 'No.' }, // prettier-ignore
    'label',
  );
  expect(shown(train)).toEqual([
    ['1.txt', 'It is broken.', 'defect'],
    ['1.txt', 'How much?', 'price'],
  ]);
  expect(shown(validation)).toHaveLength(2);
});

test('a table for each split', async () => {
  const { train, validation, splitBy } = await read(
    { 'train.csv': 'text,label\nA b,x\nC d,y\n', 'dev.csv': 'text,label\nE f,x\n' },
    'label',
  );
  expect([shown(train).length, shown(validation), splitBy]).toEqual([2, [['1', 'E f', 'x']], 'as files and folders are named']); // prettier-ignore
});

test('a text on each line, and texts of the user', async () => {
  expect(shown((await read({ 'd.txt': 'A b.\n\n C d. \n' })).train)).toEqual([
    ['1', 'A b.'],
    ['3', 'C d.'],
  ]);
  const { train } = await readTextData([{ text: 'A b.', label: 'x' }, { text: 'C', labels: ['y'], id: 'c' }], {}, 'label'); // prettier-ignore
  expect(shown(train)).toEqual([
    ['1', 'A b.', 'x'],
    ['c', 'C', 'y'],
  ]);
});

test('equal texts come to the same side, and what is in two splits is told', async () => {
  const rows = Array.from(
    { length: 60 },
    (_, i) => `Mail ${i % 20} of ${i < 20 ? 'you' : 'You'}.,${i % 2 ? 'x' : 'y'}`,
  );
  const { train, validation, warnings } = await read({ 'd.csv': `text,label\n${rows.join('\n')}\n` }, 'label', { validation: 0.3 }); // prettier-ignore
  const texts = (records: readonly SequenceRecord[] = []): Set<string> =>
    new Set(records.map(({ sequence }) => sequence.toLowerCase()));
  expect(texts(train).size + texts(validation).size).toBe(20);
  expect(validation!.length).toBeGreaterThan(8);
  expect(warnings).toEqual([]);
  const twice = await read({ 'd.csv': 'text,label,split\nA b,x,train\nC d,y,train\na B,x,test\n' }, 'label', { evalSplit: 'test' }); // prettier-ignore
  expect(twice.warnings).toEqual([expect.stringMatching(/1 texts? .*d\.csv, line 2" and ".*d\.csv, line 4/)]);
});

test('streams give the same records, without what is to be predicted', async () => {
  const lines = Array.from({ length: 450 }, (_, i) => `t${i},Text number ${i}.,${i % 3}`);
  const file = put({ 'd.csv': `id,text,label\n${lines.join('\n')}\n` });
  const found: SequenceRecord[] = [];
  let end = 0;
  for await (const { record, read: bytes } of streamTexts(file)) {
    found.push(record);
    end = bytes;
  }
  expect(found).toHaveLength(450);
  expect(shown(found)[449]).toEqual(['t449', 'Text number 449.']);
  expect(end).toBeGreaterThan(1000);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    yield new TextEncoder().encode('First, a line.\nSecond');
    yield new TextEncoder().encode(' line.\n');
  }
  const streamed: unknown[] = [];
  for await (const { record } of streamTexts(bytes())) streamed.push(record.sequence);
  expect(streamed).toEqual(['First, a line.', 'Second line.']);
});

test('errors name the file, the row, the column and the remedy', async () => {
  const cases: [Content, TargetKind | undefined, RegExp][] = [
    [{ 'd.csv': 'text,colour\nA b,red\n' }, 'label', /d\.csv" has no column for the class, such as .*columns: \{ label: 'colour' \}/], // prettier-ignore
    [{ 'd.csv': 'a,b\n1,2\n' }, 'label', /no column for the text/],
    [{ 'd.csv': 'text,label\n,x\n' }, 'label', /line 2, column "text".*Write it, or remove the row/],
    [{ 'd.csv': 'text,label\nA b,\n' }, 'label', /line 2, column "label".*a class/],
    [{ 'd.csv': 'text,score\nA b,good\nC d,2\nE f,3\n' }, 'values', /line 2, column "score"/],
    [{ 'd.txt': 'A b.\n' }, 'label', /line 1: it has no class to learn/],
    [{ 'd.txt': '\n' }, 'label', /has no texts/],
    [{ 'd.csv': new Uint8Array([80, 75, 3, 4, 0, 0]) }, 'label', /no text file/],
    [{ 'd.csv': Buffer.from('text,label\nA,rot\nB,grün\n', 'latin1') }, 'label', /d\.csv, line 3: the text is not UTF-8: .*"grün" in Windows-1252/], // prettier-ignore
    [{ 'd.csv.gz': gzipSync(Buffer.from('text,label\nA,grün\n', 'latin1')) }, 'label', /d\.csv\.gz, line 2: the text is not/], // prettier-ignore
    [
      { 'd.jsonl': Buffer.from('{"text":"A","label":"grün"}', 'latin1') },
      'label',
      /d\.jsonl, line 1: the text is not UTF-8/,
    ],
    [
      { 'd.json': Buffer.from('[\n{"text":"A","label":"grün"}]', 'latin1') },
      'label',
      /d\.json, line 2: the text is not/,
    ],
    [{ 'd.txt': Buffer.from('A\nÄ\n', 'latin1') }, undefined, /d\.txt, line 2: the text is not UTF-8/],
    [
      { 'a/x.txt': Buffer.from('Ä', 'latin1'), 'b/y.txt': 'B' },
      'label',
      /a.x\.txt, line 1: the text ends with the byte 0xC4/,
    ],
    [{ 'a/x.txt': 'A', 'b/y.pdf': 'B' }, 'label', /class folder ".*b" has no texts/],
  ];
  for (const [content, wanted, message] of cases) expect(await failure(content, wanted)).toMatch(message);
  await expect(readTextData('nowhere.csv')).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' });
});

test('a Parquet file is read as any table, and row by row', async () => {
  const file = fileURLToPath(new URL('../../../sequences/src/fixtures/parquet/snappy.parquet', import.meta.url));
  const columns = { text: 'day', label: 'label' };
  const { train } = await readTextData(file, { columns, validation: 0 });
  expect(train.map(({ sequence, labels }) => [sequence, labels]).slice(0, 2)).toEqual([
    ['2026-01-01T00:00:00.000Z', ['repairs']],
    ['2026-01-02T00:00:00.000Z', ['sales']],
  ]);
  const streamed: string[] = [];
  for await (const { record, read, total } of streamTexts(file, { columns })) {
    streamed.push(record.sequence);
    expect(read).toBeLessThanOrEqual(total!);
  }
  expect(streamed).toEqual(train.map(({ sequence }) => sequence));
  // Rows that have none are told by their number.
  await expect(readTextData(file, {}, 'label')).rejects.toThrow(
    /snappy\.parquet, row 1, column "text": a text is expected/,
  );
});
