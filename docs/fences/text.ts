/** @file Models, texts and conversations of the pages about texts. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chat, textFamilies } from '@onnx-lora/text';
import { adapterOf, copyOf, type Fixture, type Fixtures } from './fixtures.ts';

const minilm = copyOf('docs/examples/models/minilm-tiny');

const tinyDecoder = 'packages/text/src/fixtures/tinyDecoder';
const decoder = copyOf(tinyDecoder);
const decoderAdapter = copyOf(`${tinyDecoder}/adapter`);
/** A tiny decoder that is called as LLaMA is. */
const smollm: Fixture = async (folder) => {
  await decoder(folder);
  const file = path.join(folder, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, model_type: 'llama' }));
};

const llama = copyOf('docs/examples/models/llama-tiny');

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
  'runs/polite': decoderAdapter,
  'runs/terse': decoderAdapter,

  'models/roberta-masked': copyOf('test/fixtures/chemberta-small'),
  'manuals.txt': (file) => writeFileSync(file, mails.map(([text]) => `${text}\n`).join('')),
  'mails.csv': table('text,label', mails),
  'questions.csv': table(
    'question,passage',
    mails.map(([text, kind]) => [text, `We ${kind === 'sale' ? 'sell' : 'help'}: ${text.split(' ').at(-1)}`]),
  ),
  'clicks.csv': table(
    'query,document,relevance',
    mails.flatMap(([text, kind]) => [
      [text, `For ${kind}`, '1'],
      [text, 'We are closed', '0'],
    ]),
  ),
  'names.conll': (file) => {
    const lines = mails.map(([text]) => {
      const words = text.replace('?', ' ?').split(' ');
      return words.map((word, i) => `${word} ${i === words.length - 2 ? 'B-THING' : 'O'}\n`).join('');
    });
    writeFileSync(file, lines.join('\n'));
  },
  'answers.jsonl': conversations,
  'docs/examples/models/llama-tiny': llama,
  'runs/questions/adapter': adapterOf({
    model: llama,
    families: textFamilies,
    data: conversations,
    ending: '.jsonl',
    task: (data) => chat(data),
  }),
  'preferences.jsonl': (file) => {
    const lines = mails.map(([prompt, chosen]) => ({ prompt, chosen: ` ${chosen}`, rejected: ' no idea' }));
    writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  },
  'handbook.jsonl': (file) => {
    const lines = mails.map(([text]) => {
      const answer = text.split(' ').at(-1)!.replace('?', '');
      return { question: 'Which of my things?', context: text, answer };
    });
    writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  },
};
