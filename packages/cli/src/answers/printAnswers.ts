/** @file Prints answers about files: a table, lines as they come, or JSON. */

import type { Answer, Prediction } from '@onnx-lora/sdk/tasks';
import type { Progress } from '../terminal/progress.ts';
import { formatTable, grouped, short, timecode } from '../terminal/table.ts';
import { printable, type Terminal } from '../terminal/terminal.ts';
import { briefVector, withLists } from './vectors.ts';

export interface Printing {
  /** Names of the sources. */
  readonly files: readonly string[];
  /**
   * `table` aligns all answers at the end, `lines` prints each as it comes (of one file in pieces), `json` is a list.
   */
  readonly as: 'table' | 'lines' | 'json';
  readonly terminal: Terminal;
  readonly progress: Progress;
}

/** Prints answers about files. */
export async function printAnswers(answers: AsyncIterable<Answer>, printing: Printing): Promise<void> {
  const { files, as, terminal } = printing;
  if (as === 'lines') {
    await printLines(answers, printing);
    return;
  }
  const all: Answer[] = [];
  for await (const answer of answers) all.push(answer);
  if (as === 'json')
    terminal.printJson(all.map(({ source, prediction }) => ({ file: files[source]!, ...withLists(prediction) })));
  else
    for (const line of formatTable(all.map(({ source, prediction }) => shown(prediction, [files[source]!]))))
      terminal.print(printable(line));
}

async function printLines(answers: AsyncIterable<Answer>, { files, terminal, progress }: Printing): Promise<void> {
  const print = (line: string): void => terminal.print(printable(line));
  const isAlone = files.length === 1;
  let parts = 0;
  for await (const { source, prediction, isPart = false } of answers) {
    if (isPart && isAlone) {
      parts++;
      print(partText(prediction));
    } else if (isPart) progress.showLive(source, files.length, `${files[source]!}: ${partText(prediction)}`);
    else if (parts === 0) print(shown(prediction, isAlone ? [] : [files[source]!]).join('  '));
  }
}

/** Shows progress while answers come. */
export async function* counted(
  answers: AsyncIterable<Answer>,
  files: number,
  progress: Progress,
): AsyncGenerator<Answer> {
  let done = 0;
  for await (const answer of answers) {
    yield answer;
    if (!answer.isPart) progress.showLive(++done, files, `${grouped(done)} of ${grouped(files)} files`);
  }
}

/** A piece of an answer, with its timecodes if any. */
function partText({ text, start, end }: Prediction): string {
  const said = typeof text === 'string' ? text.trim() : '';
  return typeof start === 'number' && typeof end === 'number'
    ? `[${timecode(start)} - ${timecode(end)}]  ${said}`
    : said;
}

/** A prediction as one line: its text, or else its words and numbers; lists are for JSON. */
export function shown(prediction: Prediction, after: readonly string[] = []): string[] {
  if (typeof prediction['text'] === 'string') return [prediction['text'].trim(), ...after];
  const values = Object.values(prediction).flatMap((value) => {
    if (typeof value === 'number') return [short(value)];
    if (value instanceof Float32Array) return [briefVector(value)];
    return typeof value === 'string' ? [value] : [];
  });
  return [...values, ...after];
}

/** Collects names of values that are not printed beside a text. */
export class UnprintedValues {
  readonly #names = new Set<string>();

  async *watched(answers: AsyncIterable<Answer>): AsyncGenerator<Answer> {
    for await (const answer of answers) {
      const { prediction, isPart = false } = answer;
      if (!isPart && typeof prediction['text'] === 'string')
        for (const [name, value] of Object.entries(prediction))
          if (name !== 'text' && name !== 'file' && value !== undefined) this.#names.add(name);
      yield answer;
    }
  }

  /** The hint for the user; undefined where everything was printed. */
  get note(): string | undefined {
    if (this.#names.size === 0) return undefined;
    return `Answers have more than their text (${[...this.#names].join(', ')}): --json or --out FILE shows all of it.`;
  }
}
