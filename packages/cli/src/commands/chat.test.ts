/** @file A conversation from a pipe and in a terminal, with a tiny decoder whose answers PyTorch has written. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { call, temporaryFolder } from '../../fixtures/call.ts';

const model = fileURLToPath(new URL('../../../text/src/fixtures/tinyDecoder', import.meta.url));
const tuned = path.join(model, 'adapter');
const { chat } = JSON.parse(readFileSync(path.join(model, 'golden.json'), 'utf8')) as {
  readonly chat: Readonly<Record<'base' | 'tuned', { readonly ids: readonly number[]; readonly text: string }>>;
};
const machine = ['--threads', '1', '--provider', 'cpu'];

describe('chat', () => {
  it('answers each line of a pipe', async () => {
    const { code, stdout, stderr } = await call(['chat', model, ...machine], { stdin: 'hi\n\n/reset\nhi\n' });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`${chat.base.text}\n${chat.base.text}\n`);
  });

  it('lets the first adapter answer until another is chosen, and tells programs what was written', async () => {
    const folder = temporaryFolder();
    const copy = path.join(folder, 'other');
    cpSync(tuned, copy, { recursive: true });
    const stdin = 'hi\n/reset\n/adapter base\nhi\n/reset\n/adapter other\nhi\n/quit\nnever\n';
    const { stdout } = await call(['chat', model, '--adapter', tuned, '--adapter', copy, '--json', ...machine], { stdin }); // prettier-ignore
    const turns = stdout.trim().split('\n').map((line) => JSON.parse(line) as object); // prettier-ignore
    expect(turns).toEqual([
      { adapter: 'tinyDecoder', text: chat.tuned.text, finish: 'length', tokens: chat.tuned.ids },
      { adapter: null, text: chat.base.text, finish: 'length', tokens: chat.base.ids },
      { adapter: 'other', text: chat.tuned.text, finish: 'length', tokens: chat.tuned.ids },
    ]);
  });

  it('takes settings of how is written, and what stands before all', async () => {
    const { stdout } = await call(['chat', model, '--set', 'maxNewTokens=3', '--json', ...machine], { stdin: 'hi' });
    expect(JSON.parse(stdout)).toMatchObject({ tokens: chat.base.ids.slice(0, 3) });
    const told = await call(['chat', model, '--set', 'maxNewTokens=3', '--system', 'be', '--json', ...machine], { stdin: 'hi' }); // prettier-ignore
    expect(told.stdout).not.toBe(stdout);
  });

  it('a mistake ends a pipe, and is told in a terminal', async () => {
    const stdin = '/adapter none\n/adapters\nhi\n';
    const piped = await call(['chat', model, '--adapter', tuned, ...machine], { stdin });
    expect([piped.code, piped.stdout]).toEqual([2, '']);
    expect(piped.stderr).toContain('There is no adapter "none". There are base, tinyDecoder.');
    const { code, stdout, stderr } = await call(['chat', model, ...machine], { stdin, isTTY: true });
    expect([code, stdout]).toEqual([0, `${chat.base.text}\n`]);
    expect(stderr).toContain('There is no command "/adapters". Write /adapter NAME, /reset or /quit.');
    expect(stderr.match(/> /g)).toHaveLength(4);
  });

  it('says before the work what cannot be', async () => {
    const folder = temporaryFolder();
    cpSync(model, folder, { recursive: true });
    writeFileSync(path.join(folder, 'tokenizer_config.json'), '{ "pad_token": "<pad>" }');
    for (const [words, message] of [
      [[folder], 'has no chat template'],
      [[model, '--set', 'topP=3'], '--set topP must be'],
      [[model, '--set', 'warmth=3'], 'warmth'],
      [[model, '--adapter', tuned, '--adapter', tuned], 'Two adapters would be called "tinyDecoder"'],
    ] as const) {
      const { code, stderr } = await call(['chat', ...words, ...machine], { stdin: 'hi\n' });
      expect(stderr).toContain(message);
      expect(code).toBe(2);
    }
  });
});
