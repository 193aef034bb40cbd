/** @file Texts on a page: tables are read and learned as in Node. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { learnTexts, type TextsLearned } from './learnTexts.ts';
import { executablePath, PageServer, worked } from './pageServer.ts';

const scratch = mkdtempSync(path.join(tmpdir(), 'onnx-lora-texts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const modelFolder = path.join(import.meta.dirname, '../../docs/examples/models/minilm-tiny');

describe.skipIf(executablePath === undefined)('texts on a page', () => {
  let server: PageServer;
  beforeAll(async () => {
    server = await PageServer.open({ texts: modelFolder });
  }, 300_000);
  afterAll(() => server?.close());

  test('of a table are learned as in Node', async () => {
    // Quotes, separators and line ends within cells.
    const kinds = { repairs: ['fix', 'repair', 'clean'], shipping: ['send', 'ship', 'find'] };
    const rows = Object.entries(kinds).flatMap(([label, words]) =>
      Array.from({ length: 40 }, (_, i) => `"how can i ${words[i % 3]}, ""my""\nphone ${i}", ${label}`),
    );
    const content = ['text,label', ...rows, ''].join('\r\n');
    const table = path.join(scratch, 'texts.csv');
    writeFileSync(table, content);
    const page = await server.tab([table]);
    const there = await worked<TextsLearned>(page, { kind: 'texts', threads: 1, steps: 10 });
    const here = await learnTexts(modelFolder, table, path.join(scratch, 'node'), 10);
    expect(there.losses).toHaveLength(10);
    there.losses.forEach((loss, i) => expect(loss).toBeCloseTo(here.losses[i]!, 3));
    expect(there.accuracy).toBeCloseTo(here.accuracy, 3);
    await page.close();
  }, 120_000);
});
