import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as node from '../csvRecords.ts';
import * as page from './csvRecords.ts';

const options = { delimiter: ',', relax_column_count: true, skip_empty_lines: true, trim: true, record_delimiter: ['\r\n', '\n', '\r'], max_record_size: 100 }; // prettier-ignore

async function answerOf({ csvRecords, csvProblem }: typeof node, pieces: readonly string[]): Promise<unknown> {
  async function* text(): AsyncGenerator<string> {
    yield* pieces;
  }
  const records: unknown[] = [];
  try {
    for await (const each of csvRecords(text(), options)) records.push(each);
    return records;
  } catch (cause) {
    const problem = csvProblem(cause);
    if (!problem) throw cause;
    return problem;
  }
}

test('a page reads the records that Node reads, and tells the same problems', async () => {
  const piece = fc.array(fc.constantFrom('a', 'é', '"', '""', ',', '\n', '\r\n', '\r', ' ', '\t', '"b"', 'c'.repeat(40)), { maxLength: 12 }); // prettier-ignore
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        piece.map((parts) => parts.join('')),
        { maxLength: 4 },
      ),
      async (pieces) => {
        expect(await answerOf(page, pieces)).toEqual(await answerOf(node, pieces));
      },
    ),
    { numRuns: 300, seed: 5 },
  );
});
