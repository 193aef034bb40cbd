/** @file Answers record by record: interrupted and continued with, to a file, to standard output, in a format of the task's own. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  type Answer,
  type Prediction,
  sourcePredictor,
  type SourceProcessor,
  type SourceRequest,
  type Source,
} from '@onnx-lora/sdk/tasks';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../../fixtures/call.ts';
import { Progress } from '../terminal/progress.ts';
import { Terminal } from '../terminal/terminal.ts';
import { UnprintedValues } from './printAnswers.ts';
import { type RecordsRequest, writeRecords } from './writeRecords.ts';

/** Answers with the length of each line; `asked` counts those that were computed, and Ctrl-C comes after `stopAfter` of them. */
class LineLengths implements SourceProcessor {
  readonly writerEndings = ['.npz'];
  asked = 0;
  stopAfter = Infinity;
  ends = 0;
  written: Prediction[] = [];

  async *answers(source: Source, { skip }: SourceRequest): AsyncIterable<Omit<Answer, 'source'>> {
    const text = readFileSync(source as string, 'utf8');
    let read = 0;
    for (const line of text.trimEnd().split('\n')) {
      read += line.length + 1;
      if (skip.left > 0) {
        skip.left--;
        continue;
      }
      if (++this.asked === this.stopAfter) process.emit('SIGINT');
      yield await Promise.resolve({ prediction: { id: line, length: line.length }, read, total: text.length });
    }
  }

  writer(file: string) {
    if (!file.endsWith('.npz')) return undefined;
    return {
      write: (prediction: Prediction) => Promise.resolve(void this.written.push(prediction)),
      finish: () => Promise.resolve(void this.ends++),
      abort: () => Promise.resolve(void (this.ends -= 1)),
    };
  }

  sections() {
    return [{ kind: 'table' as const, title: 'Lengths <all>', columns: ['asked'], rows: [[this.asked]] }];
  }

  release() {
    return Promise.resolve();
  }
}

const lines = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => `${'x'.repeat(i % 7)}${from + i}\n`).join('');

interface Result {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number | undefined;
}

async function answered(lengths: LineLengths, changes: Partial<RecordsRequest>): Promise<Result> {
  let [stdout, stderr] = ['', ''];
  let code: number | undefined;
  const terminal = new Terminal({
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
  });
  await writeRecords({
    predictor: sourcePredictor(lengths),
    sources: [],
    batchSize: undefined,
    out: undefined,
    json: false,
    of: { task: 'lengths' },
    beyond: new UnprintedValues(),
    terminal,
    progress: new Progress(terminal),
    exitWith: (given) => (code = given),
    ...changes,
  });
  return { stdout, stderr, code };
}

it('continues after an interrupt, in whichever file it came, without computing or losing an answer', async () => {
  const folder = temporaryFolder();
  const sources = ['a.txt', 'b.txt'].map((name) => path.join(folder, name));
  writeFileSync(sources[0]!, lines(0, 20));
  writeFileSync(sources[1]!, lines(100, 15));
  const [whole, pieces] = ['whole.csv', 'pieces.csv'].map((name) => path.join(folder, name)) as [string, string];
  await answered(new LineLengths(), { sources, out: whole });
  expect(readFileSync(whole, 'utf8').split('\n')).toHaveLength(1 + 35 + 1);

  const lengths = new LineLengths();
  for (const stopAfter of [8, 27]) {
    lengths.stopAfter = stopAfter;
    const { code, stderr } = await answered(lengths, { sources, out: pieces });
    expect(code).toBe(130);
    expect(stderr).toContain('The same command continues after the last answer');
    expect(existsSync(pieces)).toBe(false);
  }
  const { code, stderr } = await answered(lengths, { sources, out: pieces });
  expect(code).toBeUndefined();
  expect(stderr).toMatch(/continuing after 2\d answers/);
  expect(readFileSync(pieces, 'utf8')).toBe(readFileSync(whole, 'utf8'));
  // An answer that was under way when it was stopped is made again.
  expect(lengths.asked).toBeLessThanOrEqual(35 + 2);
  expect(existsSync(`${pieces}.part`)).toBe(false);
  expect(readFileSync(path.join(folder, 'pieces.html'), 'utf8')).toContain('Lengths &lt;all&gt;');
});

it('starts over only if told so where a file has changed', async () => {
  const folder = temporaryFolder();
  const sources = [path.join(folder, 'a.txt')];
  const out = path.join(folder, 'answers.jsonl');
  writeFileSync(sources[0]!, lines(0, 9));
  const lengths = new LineLengths();
  lengths.stopAfter = 4;
  await answered(lengths, { sources, out });
  writeFileSync(sources[0]!, lines(5, 30));
  await expect(answered(lengths, { sources, out })).rejects.toThrow(/not this one \(sources: .* then, .* now\)/);
});

it('prints a line each, or one list', async () => {
  const folder = temporaryFolder();
  const sources = [path.join(folder, 'a.txt')];
  writeFileSync(sources[0]!, 'abc\nde\n');
  expect((await answered(new LineLengths(), { sources })).stdout).toBe('abc  3\nde  2\n');
  const { stdout } = await answered(new LineLengths(), { sources, json: true });
  expect(JSON.parse(stdout)).toEqual([
    { id: 'abc', length: 3 },
    { id: 'de', length: 2 },
  ]);
});

it("writes the task's own format, and takes it back when it is stopped", async () => {
  const folder = temporaryFolder();
  const sources = [path.join(folder, 'a.txt')];
  writeFileSync(sources[0]!, lines(0, 5));
  const lengths = new LineLengths();
  await answered(lengths, { sources, out: path.join(folder, 'lengths.npz') });
  expect(lengths.written).toHaveLength(5);
  expect(lengths.ends).toBe(1);
  const stopped = new LineLengths();
  stopped.stopAfter = 2;
  const { stderr } = await answered(stopped, { sources, out: path.join(folder, 'lengths.npz') });
  expect(stopped.ends).toBe(-1);
  expect(stderr).toContain('They are not kept');
  await expect(answered(lengths, { sources, out: path.join(folder, 'x.txt') })).rejects.toThrow(
    'ends in .csv, .tsv, .jsonl or .npz',
  );
});
