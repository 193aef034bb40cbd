/** @file Conversations of every form, and what is wrong with others. */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, test } from 'vitest';
import { readConversations } from './readConversations.ts';

const folder = (files: Record<string, readonly unknown[] | string>): string => {
  const made = mkdtempSync(join(tmpdir(), 'conversations-'));
  for (const [name, lines] of Object.entries(files))
    writeFileSync(join(made, name), typeof lines === 'string' ? lines : lines.map((line) => JSON.stringify(line)).join('\n')); // prettier-ignore
  return made;
};
const file = (...lines: unknown[]): string => join(folder({ 'data.jsonl': lines }), 'data.jsonl');
const ask = { role: 'user', content: 'Hi' };
const answer = { role: 'assistant', content: 'Hello' };

test.each([
  ['messages', { messages: [ask, answer] }, { messages: [ask, answer] }],
  ['ShareGPT', { conversations: [{ from: 'human', value: 'Hi' }, { from: 'gpt', value: 'Hello' }] }, { messages: [ask, answer] }], // prettier-ignore
  ['texts', { prompt: 'a ', completion: ' b' }, { prompt: 'a ', completion: ' b' }],
  ['a text', { text: 'a b\n' }, { prompt: '', completion: 'a b\n' }],
  ['lists', { prompt: [ask], completion: [answer] }, { messages: [{ ...ask, weight: 0 }, answer] }],
  [
    'calls',
    { messages: [ask, { role: 'assistant', content: null, tool_calls: [{ function: { name: 'f', arguments: '{"a":1}' } }] }], tools: [{}] }, // prettier-ignore
    { messages: [ask, { role: 'assistant', tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] }], tools: [{}] }, // prettier-ignore
  ],
])('%s', async (_, line, record) => {
  const { train } = await readConversations(file(line));
  expect(train).toMatchObject([record]);
  expect(train[0]!.where).toMatch(/data\.jsonl, line 1$/);
});

it('reads a table, with columns by other names', async () => {
  const path = join(folder({ 'a.csv': 'q,completion,part\nx,y,test\nv,w,train\n' }), 'a.csv');
  const data = await readConversations(path, { columns: { prompt: 'q', split: 'part' } });
  expect(data.train).toMatchObject([{ prompt: 'v', completion: 'w' }]);
  expect(data.validation).toMatchObject([{ prompt: 'x', completion: 'y' }]);
});

it('reads a file for each split, and tells what is in two', async () => {
  const data = await readConversations(folder({ 'train.jsonl': [{ text: 'a' }, { text: 'b' }], 'test.jsonl': [{ text: 'b' }] })); // prettier-ignore
  expect([data.train.length, data.validation?.length]).toEqual([2, 1]);
  expect(data.warnings).toMatchObject([expect.stringContaining('1 conversation is in more than one split')]);
});

it('keeps answers to one question together', async () => {
  const lines = Array.from({ length: 40 }, (_, i) => ({ prompt: `q${i % 10}`, completion: String(i) }));
  const data = await readConversations(lines, { validation: 0.2 });
  const questions = (part: typeof data.train): Set<unknown> => new Set(part.map((each) => 'prompt' in each && each.prompt)); // prettier-ignore
  expect(data.validation!.length).toBe(8);
  expect([...questions(data.validation!)].filter((each) => questions(data.train).has(each))).toEqual([]);
});

test.each([
  ['a stranger', { messages: [{ role: 'me', content: 'a' }] }, /line 1: .*message 1 is of "me".*Write \{"messages"/],
  ['nothing said', { messages: [{ role: 'user' }] }, /line 1: .*message 1 says nothing/],
  ['no list', { messages: 'Hi' }, /line 1: .*it is "Hi"/],
  ['no answer', { prompt: 'a' }, /no column for what follows the prompt/],
  ['nothing known', { question: 'a' }, /no column for the conversation.*columns.messages/],
  ['tools that are none', { messages: [ask, answer], tools: 'f' }, /line 1: tools are a list/],
])('refuses %s', async (_, line, message) => {
  await expect(readConversations(file(line))).rejects.toThrow(expect.objectContaining({ code: 'DATA_INVALID', message: expect.stringMatching(message) as string })); // prettier-ignore
});
