/** @file Questions about packages by their names, with answers in one form, to teach a language model that form. */

import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** How packages of a kind are called in Debian, and what they are. */
const kinds: readonly (readonly [name: (stem: string) => string, kind: string, language: string | null])[] = [
  [(stem) => `python3-${stem}`, 'library', 'python'],
  [(stem) => `lib${stem}-perl`, 'library', 'perl'],
  [(stem) => `ruby-${stem}`, 'library', 'ruby'],
  [(stem) => `lib${stem}-java`, 'library', 'java'],
  [(stem) => `lib${stem}-dev`, 'headers', 'c'],
  [(stem) => `${stem}-doc`, 'manual', null],
  [(stem) => `fonts-${stem}`, 'font', null],
];

const first = ['date', 'mail', 'color', 'cache', 'text', 'web', 'image', 'sound', 'graph', 'time', 'file', 'net'];
const second = ['parse', 'tools', 'view', 'utils', 'format', 'server', 'index', 'lite', 'stream', 'sort'];

/** One of so many questions is held out. */
const HELD_OUT = 6;

/**
 * Writes `train.jsonl` and `validation.jsonl`, conversations of a question and an answer, about packages of different names.
 *
 * @returns a summary of the data, in words
 */
export async function makePackageQuestions(folder: string): Promise<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const stems = first.flatMap((a) => second.map((b) => `${a}-${b}`));
  // Each name once, with a kind that its place gives.
  const rows = stems.flatMap((stem, i) =>
    [0, 1, 2].map((k) => {
      const [nameOf, kind, language] = kinds[(i * 3 + k * 2 + Math.floor(i / 10)) % kinds.length]!;
      return { stem: i, question: `What is ${nameOf(stem)}?`, answer: JSON.stringify({ kind, language }) };
    }),
  );
  const isHeldOut = ({ stem }: { stem: number }): boolean => (stem * 7) % HELD_OUT === 0;
  const files = { train: rows.filter((row) => !isHeldOut(row)), validation: rows.filter(isHeldOut) };
  for (const [name, own] of Object.entries(files)) {
    const lines = own.map(
      ({ question, answer }) =>
      JSON.stringify({ messages: [{ role: 'user', content: question }, { role: 'assistant', content: answer }] }), // prettier-ignore
    );
    await writeFile(path.join(folder, `${name}.jsonl`), lines.map((line) => `${line}\n`).join(''));
  }
  return `${files.train.length} questions with answers to train on, ${files.validation.length} held out`;
}
