/** @file Conversations and preferences in Parquet, as data sets of chats are published, are what they would be in JSON. */

import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, test } from 'vitest';
import { dataFolder } from '../../../sequences/src/fixtures/dataFolder.ts';
import { type ConversationRecord, readConversations } from './readConversations.ts';
import { readPreferences } from './readPreferences.ts';
import { streamPrompts } from './streamPrompts.ts';

const fixtures = fileURLToPath(new URL('../fixtures/chatParquet', import.meta.url));
const rows = JSON.parse(readFileSync(join(fixtures, 'rows.json'), 'utf8')) as Readonly<Record<string, readonly object[]>>; // prettier-ignore
const fileOf = (name: string): string => join(fixtures, `${name}.parquet`);
/** Without where they stand. */
const said = (records: readonly { readonly where: string }[]): unknown[] =>
  records.map((record) => ({ ...record, where: '' }));

test.each(['messages', 'lists', 'texts'])('conversations: %s', async (name) => {
  const { train } = await readConversations(fileOf(name));
  const { train: wanted } = await readConversations(rows[name]!);
  // The empty fields of messages are not there: a chat template may ask for one.
  expect(said(train)).toStrictEqual(said(wanted));
  expect(train[1]!.where).toBe(`${fileOf(name)}, row 2`);
});

test.each(['preferences', 'pairs'])('preferences: %s', async (name) => {
  expect(said((await readPreferences(fileOf(name))).train)).toStrictEqual(said((await readPreferences(rows[name] as never)).train)); // prettier-ignore
});

it('of a folder, the parts of each split are put together', async () => {
  const folder = dataFolder({ 'README.md': 'x' });
  for (const name of ['train-00000-of-00002', 'train-00001-of-00002', 'test-00000-of-00001'])
    cpSync(fileOf(name.startsWith('test') ? 'messages' : 'texts'), join(folder, `${name}.parquet`));
  const { train, validation } = await readConversations(folder);
  expect([train.length, validation?.length]).toEqual([8, 2]);
});

it('is asked row by row', async () => {
  const asked: { readonly id: string; readonly record: ConversationRecord }[] = [];
  for await (const { id, record, read, total } of streamPrompts(fileOf('messages'), { columns: {}, asks: true })) {
    asked.push({ id, record });
    expect([read, total]).toEqual([expect.any(Number), readFileSync(fileOf('messages')).length]);
  }
  const { train: wanted } = await readConversations(fileOf('messages'));
  expect(asked).toStrictEqual(wanted.map((record, i) => ({ id: String(i + 1), record })));
});

it('says which files it reads', async () => {
  await expect(readConversations(join(fixtures, '../README.md'))).rejects.toThrow(
    /it should end in .*\.json, \.parquet/,
  );
});
