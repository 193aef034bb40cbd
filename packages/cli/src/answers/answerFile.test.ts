/** @file Answers that are written in pieces, with interruptions at any place. */

import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { AnswerFile } from './answerFile.ts';

const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-answers-'));
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
const newFile = (ending: string): string => path.join(root, `${count++}`, `answers.${ending}`);
const of = { task: 'numbers' };

describe.each(['csv', 'tsv', 'jsonl'])('%s', (ending) => {
  it('continues from wherever it was cut off, and ends as it would have without', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.double({ noNaN: true })), {
          minLength: 1,
          maxLength: 12,
        }),
        fc.array(fc.nat({ max: 400 }), { maxLength: 3 }),
        fc.nat({ max: 11 }),
        async (rows, cuts, border) => {
          const answers = rows.map(([id, value]) => ({ id, 'a "b", c': value }));
          const sources = [answers.slice(0, border), answers.slice(border)];
          /** Writes what is missing, up to `most` answers. */
          const run = async (file: string, most: number): Promise<AnswerFile> => {
            const out = await AnswerFile.open(file, of);
            const begin = out.position;
            for (const [i, source] of sources.entries()) {
              if (i < begin.sources) continue;
              for (const answer of source.slice(i === begin.sources ? begin.answers : 0)) {
                if (out.answers >= most) return out;
                await out.write(answer);
              }
              await out.endSource();
            }
            return out;
          };
          const whole = newFile(ending);
          await (await run(whole, Infinity)).finish();
          const pieces = newFile(ending);
          for (const cut of cuts) {
            await (await run(pieces, 1 + (cut % 5))).close();
            // A machine that loses power may have written half a line; what sources that are done with gave is on the disk.
            const part = `${pieces}.part`;
            const done = (JSON.parse(readFileSync(`${part}.json`, 'utf8')) as { done: number[] }).done;
            if (done.length === 0) truncateSync(part, Math.min(cut, readFileSync(part).length));
            else appendFileSync(part, '"half a li');
          }
          await (await run(pieces, Infinity)).finish();
          expect(readFileSync(pieces, 'utf8')).toBe(readFileSync(whole, 'utf8'));
          expect(readdirSync(path.dirname(pieces))).toEqual([path.basename(pieces)]);
        },
      ),
      { numRuns: 25 },
    );
  });
});

it('refuses what is of something else, naming it, and leaves it as it is', async () => {
  const file = newFile('csv');
  const first = await AnswerFile.open(file, { task: 'numbers', adapter: 'a1' });
  await first.write({ id: 'x', value: 1 });
  await first.close();
  await expect(AnswerFile.open(file, { task: 'numbers', adapter: 'b2' })).rejects.toThrow(
    /interrupted command that is not this one \(adapter: "a1" then, "b2" now\).*remove the file/s,
  );
  expect(readFileSync(`${file}.part`, 'utf8')).toBe('id,value\nx,1\n');
  rmSync(`${file}.part.json`);
  await expect(AnswerFile.open(file, of)).rejects.toThrow(/says what it is of/);
  expect(existsSync(file)).toBe(false);
});

it('has one set of columns in a table, and says so', async () => {
  const out = await AnswerFile.open(newFile('csv'), of);
  await out.write({ id: 'x', value: 1 });
  await expect(out.write({ id: 'y', label: 'a' })).rejects.toThrow(/have no "label".*\.jsonl/);
  await out.close();
});

it('writes what a nearly full disk did not take at once', async () => {
  const file = newFile('csv');
  const out = await AnswerFile.open(file, of);
  const handle = await open(`${file}.part`, 'r');
  const kind = Object.getPrototypeOf(handle) as typeof handle;
  await handle.close();
  const write = Reflect.get(kind, 'write') as (this: unknown, ...given: unknown[]) => Promise<unknown>;
  const slow = vi.spyOn(kind, 'write').mockImplementation(function (this: typeof handle, ...given: unknown[]) {
    const [data, from, length, at] = given as [Buffer, number, number, number];
    return write.call(this, data, from, Math.min(3, length), at);
  } as never);
  try {
    await out.write({ id: 'añb', value: 12.5 });
    await out.finish();
  } finally {
    slow.mockRestore();
  }
  expect(readFileSync(file, 'utf8')).toBe('id,value\nañb,12.5\n');
});
