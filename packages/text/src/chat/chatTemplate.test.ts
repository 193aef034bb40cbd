/** @file Chat templates beside what transformers makes of them, and templates that were made to do harm. */

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import { ChatTemplate, type Conversation, openChatTemplate } from './chatTemplate.ts';

const folder = fileURLToPath(new URL('../fixtures/chat/', import.meta.url));
const read = (name: string): string => readFileSync(`${folder}${name}`, 'utf8');

interface Given {
  readonly id: string;
  readonly messages: Conversation['messages'];
  readonly tools?: readonly unknown[];
  readonly kwargs?: Record<string, unknown>;
  readonly add_generation_prompt?: boolean;
  readonly continue_final_message?: boolean;
}

interface Rendered {
  readonly template: string;
  readonly conversation: string;
  readonly text?: string;
  readonly error?: string;
}

const conversations = new Map((JSON.parse(read('conversations.json')) as Given[]).map((each) => [each.id, each]));
const rendered = read('rendered.jsonl').trim().split('\n').map((line) => JSON.parse(line) as Rendered); // prettier-ignore
const tokens = { bos_token: '<s>', eos_token: '</s>' };
const user = (content: string): Conversation => ({ messages: [{ role: 'user', content }] });
const template = (source: string): ChatTemplate => new ChatTemplate(source, tokens, 'model/tokenizer_config.json');

describe('as transformers', () => {
  test.each(rendered.map((each) => [each.template, each.conversation, each] as const))('%s %s', (name, id, golden) => {
    const { messages, tools, kwargs, ...given } = conversations.get(id)!;
    const render = (): string =>
      template(read(`templates/${name}.jinja`)).render(
        { messages, tools, variables: kwargs },
        { addGenerationPrompt: given.add_generation_prompt ?? false, continueFinalMessage: given.continue_final_message ?? false }, // prettier-ignore
      ).text;
    if (golden.text !== undefined) expect(render()).toBe(golden.text);
    else expect(render).toThrow(golden.error);
  });
});

const expressions = JSON.parse(read('expressions.json')) as {
  readonly variables: Conversation;
  readonly rendered: readonly (readonly [string, string])[];
};
test.each(expressions.rendered)('as Jinja: %s', (source, text) => {
  const { messages, ...variables } = expressions.variables;
  expect(template(source).render({ messages, variables: { ...variables } }).text).toBe(text);
});

describe('a template that does harm', () => {
  const harmful: Record<string, string> = {
    'loops without end': `{% for a in range(90000) %}{{ [${'1, '.repeat(2000)}1] | length }}{% endfor %}`,
    'loops that take nothing': '{% for a in range(90000) if a < 0 %}{% endfor %}'.repeat(20),
    'a range beyond measure': '{% for a in range(10**12) %}{% endfor %}',
    'text that doubles': '{% set n = namespace(t="ab") %}{% for a in range(99) %}{% set n.t = n.t ~ n.t %}{% endfor %}',
    'a list that doubles':
      '{% set n = namespace(t=[1]) %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}',
    'a macro that calls itself': '{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}',
    'many blanks': `a${' '.repeat(100_000)}{{ 1 }}`,
    'a long template': 'a'.repeat(300_000),
    'nesting without end': `{{ ${'('.repeat(50_000)}1${')'.repeat(50_000)} }}`,
    'no template': '{% if %}',
    'a filter that is not known': '{{ "a" | nothing }}',
  };
  it.each(Object.entries(harmful))('%s', (_, source) => {
    const message = expect.stringMatching(/"model\/tokenizer_config\.json" cannot be used.*Copy it again/s) as string;
    expect(() => template(source).render(user('Hi'))).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message })); // prettier-ignore
  });

  it('is no long conversation', () => {
    const messages = Array.from({ length: 2000 }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: 'word '.repeat(200),
    }));
    const { text } = template(read('templates/chatml.jinja')).render({ messages });
    expect(text.length).toBeGreaterThan(2_000_000);
  });
});

describe('a call without a content, as OpenAI writes it', () => {
  const answer = {
    role: 'assistant',
    tool_calls: [{ type: 'function', function: { name: 'f', arguments: { a: 1 } } }],
  };
  const said = (extra: object): Conversation => ({
    messages: [
      { role: 'user', content: 'Hi' },
      { ...answer, ...extra },
      { role: 'tool', content: '3', name: 'f' },
    ],
  });
  const forms = { absent: {}, null: { content: null } };

  // The output of transformers 5.24, the same for both forms.
  it.each([
    ['chatml', '<|im_start|>system\nBe brief and correct.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n<|im_start|>tool\n3<|im_end|>\n'], // prettier-ignore
    ['llama3', '<s><|start_header_id|>system<|end_header_id|>\n\nToday: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n{"name": "f", "parameters": {"a": 1}}<|eot_id|><|start_header_id|>ipython<|end_header_id|>\n\n3<|eot_id|>'], // prettier-ignore
    ['phi', '<|user|>\nHi<|end|>\n<|assistant|>\n<|end|>\n</s>'],
  ])('%s, as transformers', (name, text) => {
    for (const form of Object.values(forms))
      expect(template(read(`templates/${name}.jinja`)).render(said(form)).text).toBe(text);
  });

  // Where transformers fails: "'dict object' has no attribute 'content'".
  const plain = "{% for m in messages %}{{ m['role'] + m['content'] }}{% endfor %}";
  const calling =
    "{% for m in messages %}{{ m['content'] + '!' }}{{ m['tool_calls'] | tojson if m['tool_calls'] }}{% endfor %}";
  it.each(Object.entries(forms))('is refused where the template reads one: %s', (_, form) => {
    const refusal = (source: string): (() => unknown) => {
      return () => template(source).render(said(form), {}, 'a.jsonl, line 3');
    };
    const message =
      'a.jsonl, line 3: message 2 (assistant) has no content, and the chat template of "model/tokenizer_config.json" reads one.';
    for (const [source, remedy] of [
      [read('templates/zephyr.jinja'), 'It writes no tool_calls: give the call as text in "content", or leave it out.'],
      [plain, 'It writes no tool_calls: give the call as text in "content", or leave it out.'],
      [calling, 'Write "content": "" beside its tool_calls, or leave it out.'],
    ] as const)
      expect(refusal(source)).toThrow(expect.objectContaining({ code: 'DATA_INVALID', message: `${message} ${remedy}` })); // prettier-ignore
    expect(refusal(`${plain}{{ nothing() }}`)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});

describe('of a folder', () => {
  const write = (files: Record<string, unknown>): string => {
    const made = mkdtempSync(join(tmpdir(), 'chat-'));
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(made, name), typeof content === 'string' ? content : JSON.stringify(content));
    return made;
  };
  const say = async (files: Record<string, unknown>): Promise<string | undefined> =>
    (await openChatTemplate(write(files)))?.render(user('Hi')).text;

  it('is in a file of its own, in a list, or not there', async () => {
    const list = [{ name: 'tool_use', template: 'tools' }, { name: 'default', template: '{{ eos_token }}list' }]; // prettier-ignore
    expect(await say({ 'tokenizer_config.json': { chat_template: list, eos_token: { content: '</s>' } } })).toBe(
      '</s>list',
    );
    expect(await say({ 'tokenizer_config.json': { chat_template: 'a' }, 'chat_template.jinja': 'file\n\n' })).toBe(
      'file\n',
    );
    expect(await say({ 'tokenizer_config.json': { chat_template: null } })).toBeUndefined();
    expect(await say({})).toBeUndefined();
  });

  it('is refused where it is no text', async () => {
    await expect(say({ 'tokenizer_config.json': { chat_template: [{ name: 'rag', template: 'a' }] } })).rejects.toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});

it('does not take the marks of answers from a stranger', () => {
  expect(() => template('{{ messages[0].content }}').render(user('a\uFDD0b'), {}, 'data.jsonl, line 3')).toThrow(
    /data\.jsonl, line 3: .*U\+FDD0/,
  );
});
