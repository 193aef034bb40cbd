/** @file Models, texts and conversations of the pages about texts. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { copyOf, type Fixture, type Fixtures } from './fixtures.ts';

const minilm = copyOf('docs/examples/models/minilm-tiny');

const decoder = copyOf('packages/text/src/fixtures/tinyDecoder');
/** A tiny decoder that is called as LLaMA is, and has a chat template. */
const smollm: Fixture = async (folder) => {
  await decoder(folder);
  for (const [name, more] of [
    ['config.json', { model_type: 'llama' }],
    ['tokenizer_config.json', { chat_template: template }],
  ] as const) {
    const file = path.join(folder, name);
    writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), ...more }));
  }
};
const template =
  "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

const verbs = { defect: ['fix', 'repair'], sale: ['buy', 'purchase'], sending: ['send', 'ship'] };
const things = ['phone', 'bike', 'sofa', 'jacket', 'letter', 'cup'];

/** Sentences of a shop's customers, each with its kind. */
const mails: readonly (readonly [text: string, kind: string])[] = Object.entries(verbs).flatMap(([kind, own]) =>
  own.flatMap((verb) => things.map((thing) => [`How can I ${verb} my ${thing}?`, kind] as const)),
);

function table(header: string, rows: readonly (readonly string[])[]): Fixture {
  return (file) =>
    writeFileSync(file, [header, ...rows.map((row) => row.join(','))].map((line) => `${line}\n`).join(''));
}

const conversations: Fixture = (file) => {
  const lines = mails.map(([question, answer]) => ({
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  }));
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
};

export const textFiles: Fixtures = {
  'models/minilm': minilm,
  'models/smollm': smollm,

  'mails.csv': table('text,label', mails),
  'questions.csv': table(
    'question,passage',
    mails.map(([text, kind]) => [text, `We ${kind === 'sale' ? 'sell' : 'help'}: ${text.split(' ').at(-1)}`]),
  ),
  'answers.jsonl': conversations,
};
