/** @file Learned tokens of conversations and texts, compared with the masks of transformers and TRL. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { openTokenizer } from '@onnx-lora/sequences';
import { describe, expect, test } from 'vitest';
import { ChatTemplate, type Conversation, openChatTemplate } from './chatTemplate.ts';
import { chatTokens, type LearnedTokens, plainTokens, type SftTokens } from './sftTokens.ts';

const folder = fileURLToPath(new URL('../fixtures/chat/', import.meta.url));
const read = (name: string): string => readFileSync(`${folder}${name}`, 'utf8');

const goldens = JSON.parse(read('masks.json')) as {
  readonly masks: readonly {
    readonly messages: Conversation['messages'];
    readonly input_ids: readonly number[];
    readonly assistant_masks: readonly number[];
    readonly completion_mask: readonly number[];
  }[];
  readonly masks_plain: readonly {
    readonly prompt: string;
    readonly completion: string;
    readonly input_ids: readonly number[];
    readonly completion_mask: readonly number[];
    readonly prompt_is_prefix: boolean;
  }[];
};
const rendered = read('rendered.jsonl').trim().split('\n').map((line) => JSON.parse(line) as { template: string; conversation: string; input_ids?: number[]; assistant_masks?: number[] }); // prettier-ignore
const conversations = new Map(
  (JSON.parse(read('conversations.json')) as (Conversation & { id: string; kwargs?: Record<string, unknown>; add_generation_prompt?: boolean })[]).map((each) => [each.id, each]), // prettier-ignore
);
const tokenizer = await openTokenizer({ name: 'tiny', folder, inputs: {}, outputs: {} });
const own = (await openChatTemplate(folder))!;
const mask = ({ isLearned }: SftTokens): number[] => isLearned.map(Number);

describe('the masks of transformers', () => {
  const marked = rendered.filter(({ conversation, assistant_masks: masks }) => masks && !conversations.get(conversation)!.add_generation_prompt); // prettier-ignore
  test.each(marked.map((each) => [each.template, each.conversation, each] as const))('%s %s', (name, id, golden) => {
    const template = new ChatTemplate(read(`templates/${name}.jinja`), { bos_token: '<s>', eos_token: '</s>' }, name);
    const { messages, tools, kwargs } = conversations.get(id)!;
    const made = chatTokens({ messages, tools, variables: kwargs }, { tokenizer, template, learned: 'answers' }, id);
    expect(made.ids).toEqual(golden.input_ids);
    expect(mask(made)).toEqual(golden.assistant_masks);
  });

  test('of conversations of a data set', () => {
    for (const { messages, ...golden } of goldens.masks) {
      const made = chatTokens({ messages }, { tokenizer, template: own, learned: 'answers' }, 'line 1');
      expect(made.ids).toEqual(golden.input_ids);
      expect(mask(made)).toEqual(golden.assistant_masks);
    }
  });
});

describe('the masks of TRL', () => {
  const source = (JSON.parse(read('tokenizer_config.json')) as { chat_template: string }).chat_template;
  const unmarked = new ChatTemplate(source.replaceAll(/\{% (end)?generation %\}/g, ''), { bos_token: '<s>' }, 'x');
  const learn = (messages: Conversation['messages'], learned: LearnedTokens): SftTokens =>
    chatTokens({ messages }, { tokenizer, template: unmarked, learned }, 'line 1');

  test('of a template that does not say what is the assistant’s', () => {
    for (const { messages, ...golden } of goldens.masks) {
      const made = learn(messages, 'last');
      expect(made.ids).toEqual(golden.input_ids);
      expect(mask(made)).toEqual(golden.completion_mask);
    }
  });
  test('of several turns and tools, as templates with marks have them but for what ends a turn', () => {
    const marked = rendered.filter(({ template, assistant_masks: masks }) => template === 'chatml' && masks);
    const source = read('templates/chatml.jinja');
    const tokens = { bos_token: '<s>', eos_token: '</s>' };
    const without = new ChatTemplate(source.replaceAll(/\{%-? (end)?generation -?%\}/g, ''), tokens, 'x');
    for (const { conversation, assistant_masks: masks } of marked) {
      const { messages, tools, kwargs, add_generation_prompt: asks } = conversations.get(conversation)!;
      if (asks) continue;
      const made = chatTokens({ messages, tools, variables: kwargs }, { tokenizer, template: without, learned: 'answers' }, conversation); // prettier-ignore
      // The newline behind an answer, which the template leaves out of the mask.
      const newline = tokenizer.idOf('Ċ')!;
      const found = made.isLearned.map((learned, i) =>
        Number(learned && !(made.ids[i] === newline && masks![i] === 0)),
      );
      expect(found, conversation).toEqual(masks);
    }
  });

  test('is not known where a template writes what was said otherwise later', () => {
    const thinking = "{% for m in messages %}{{ m.role }}:{{ m.content if loop.last or m.role == 'user' else '…' }};{% endfor %}{{ 'assistant:' if add_generation_prompt }}"; // prettier-ignore
    const template = new ChatTemplate(thinking, {}, 'model/chat_template.jinja');
    const said = ['a', 'long', 'b', 'c'].map((content, i) => ({ role: i % 2 ? 'assistant' : 'user', content }));
    const all = chatTokens({ messages: said }, { tokenizer, template, learned: 'last' }, 'line 1');
    expect(all.ids.filter((_, i) => all.isLearned[i])).toEqual(tokenizer.tokens('c;').ids);
    const hidden = new ChatTemplate(thinking.replace("m.role == 'user'", 'messages|length < 3'), {}, 'model/chat_template.jinja'); // prettier-ignore
    expect(() => chatTokens({ messages: said }, { tokenizer, template: hidden, learned: 'answers' }, 'line 1')).toThrow(
      /line 1: .*"model\/chat_template\.jinja".*message 2.*learn=last/,
    );
  });

  test.each(goldens.masks_plain.map((each) => [each.prompt + each.completion, each] as const))('%s', (_, golden) => {
    const made = plainTokens(tokenizer, golden.prompt, golden.completion, 1);
    expect(made.ids).toEqual(golden.input_ids);
    if (golden.prompt_is_prefix) expect(mask(made)).toEqual(golden.completion_mask);
  });
});
