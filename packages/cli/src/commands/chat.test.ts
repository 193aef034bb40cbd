/** @file A conversation from a pipe and in a terminal, with a tiny decoder whose answers PyTorch has written. */

import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openBigrams } from '../../../text/src/fixtures/bigrams.ts';
import { call, temporaryFolder } from '../../fixtures/call.ts';
import { main } from '../index.ts';
import type { Writer } from '../terminal/terminal.ts';

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

  it('answers by a JSON schema, as predict does', async () => {
    const folder = temporaryFolder();
    const [bigrams, schema, asked] = ['bigrams', 'schema.json', 'asked.txt'].map((name) => path.join(folder, name));
    await openBigrams(bigrams!, { length: 512, files: ['tokenizer.json', 'tokenizer_config.json'], config: { eos_token_id: 1 } }); // prettier-ignore
    writeFileSync(schema!, '{ "type": "array", "items": { "enum": ["x", 1] }, "minItems": 1, "maxItems": 3 }');
    writeFileSync(asked!, 'hi\n');
    const [chatting, predicting] = [['chat', bigrams!], ['predict', bigrams!, asked!, '--task', 'chat', '--set', 'temperature=0']]; // prettier-ignore
    for (const words of [chatting, predicting]) {
      const { stdout } = await call([...words, '--schema', schema!, '--json', ...machine], { stdin: 'hi' });
      const { text, finish } = [JSON.parse(stdout) as unknown].flat()[0] as { readonly text: string; readonly finish: string }; // prettier-ignore
      expect(finish).toBe('end');
      expect([1, 2, 3]).toContain((JSON.parse(text) as unknown[]).filter((each) => each === 'x' || each === 1).length);
    }
    writeFileSync(schema!, '{ "type": "string", "format": "date" }');
    for (const words of [chatting, predicting]) {
      const { code, stderr } = await call([...words, '--schema', schema!, ...machine], { stdin: 'hi' });
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining('schema.json" has "format", which cannot be kept to'),
      ]);
    }
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

  it('Ctrl-C ends an answer; where nothing is being written it ends the conversation', async () => {
    /** Interrupts the first answer, and what comes behind it. */
    const interrupted = async (isTTY: boolean): Promise<readonly unknown[]> => {
      const [stdin, written] = [new PassThrough(), { stdout: '', stderr: '' }];
      const due = [() => written.stdout !== '', () => written.stderr.endsWith('> > ')];
      const writer = (name: 'stdout' | 'stderr'): Writer => ({
        isTTY,
        write: (text) => {
          written[name] += text;
          if (due[0]?.() && due.shift()) setImmediate(() => process.emit('SIGINT'));
        },
      });
      stdin.write('hi\n');
      const streams = { stdin: Object.assign(stdin, { isTTY }), stdout: writer('stdout'), stderr: writer('stderr') };
      const code = await main(['chat', model, ...machine, '--set', 'maxNewTokens=80'], streams);
      expect([written.stdout.length > 1, written.stdout.length < 60, written.stdout.endsWith('\n')]).toEqual([true, true, true]); // prettier-ignore
      return [code, written.stderr.replace(/.*quit\S*\n/, '')];
    };
    const listeners = process.listenerCount('SIGINT');
    expect(await interrupted(true)).toEqual([130, '> > \n']);
    expect(await interrupted(false)).toEqual([130, '']);
    expect(process.listenerCount('SIGINT')).toBe(listeners);
  });

  it('asks for the task where a table of texts has labels, and names the columns that a named task does not use', async () => {
    const [llama, file] = [temporaryFolder(), path.join(temporaryFolder(), 'mails.csv')];
    cpSync(model, llama, { recursive: true });
    writeFileSync(path.join(llama, 'config.json'), '{ "model_type": "llama" }');
    writeFileSync(file, 'text,label,date\nhi,a,1\nhi hi,b,2\n');
    const evaluated = (...words: string[]) => call(['eval', llama, '--data', file, ...words, ...machine]);
    const asked = await evaluated();
    expect([asked.code, asked.stdout]).toEqual([2, '']);
    expect(asked.stderr).toContain('task chat: the usual one of the family');
    expect(asked.stderr).toContain('text-classification would learn the column "label". Say which is meant: --task chat or --task text-classification.'); // prettier-ignore
    const trained = await call(['train', llama, '--data', file, '--out', path.join(temporaryFolder(), 'run')]);
    expect([trained.code, trained.stderr]).toEqual([2, expect.stringContaining('--task chat or --task text-class')]);
    const named = await evaluated('--task', 'chat');
    expect(named.code).toBe(0);
    expect(named.stderr).toContain('task chat: as you named it\nwarning: Columns that are not used: "label", "date".');
    // Other columns besides the conversations only describe them.
    writeFileSync(file, 'prompt,completion,label\nhi,hi,a\n');
    expect((await evaluated()).code).toBe(0);
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
