/** @file Which sequences are shown with their attention. */

import { expect, test } from 'vitest';
import type { SequenceRecord } from '../../data/sequenceRecord.ts';
import { attendedSequences } from '../../domain.ts';

test('of each class the sequence that is answered best, no pairs and none that is very long', () => {
  const record = (id: string, more: Partial<SequenceRecord> = {}): SequenceRecord => ({ id, sequence: 'MKV', where: id, ...more }); // prettier-ignore
  const rows: readonly (readonly [SequenceRecord, number, readonly number[]])[] = [
    [record('sure'), 0, [0.9, 0.1, 0]],
    [record('unsure'), 0, [0.6, 0.3, 0.1]],
    [record('taken for the first'), 1, [0.99, 0.01, 0]],
    [record('pair', { second: 'MKV' }), 1, [0, 1, 0]],
    [record('long', { sequence: 'M'.repeat(1001) }), 1, [0, 1, 0]],
  ];
  const answers = Float64Array.from(rows.flatMap(([, , probabilities]) => probabilities));
  const truths = rows.map(([, truth]) => [truth]);
  const records = rows.map(([each]) => each);
  const found = attendedSequences(['globin', 'kinase', 'none'], { answers, truths }, records);
  expect(found.map(({ title }) => title)).toEqual(['sure: globin (90%)', 'taken for the first: kinase (1%)']);
});
