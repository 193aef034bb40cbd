/** @file Help under headings, and on narrow terminals. */

import { expect, it } from 'vitest';
import { main } from './program.ts';
import { narrowed } from './terminal/table.ts';
import { Terminal } from './terminal/terminal.ts';

async function printed(columns: number, ...words: string[]): Promise<string> {
  let text = '';
  const writer = { write: (more: string) => (text += more), columns };
  await main(words, { stdout: writer, stderr: writer });
  return text;
}

it('puts the flags of train under headings, and says what is held out where nobody says anything', async () => {
  const help = await printed(100, 'train', '--help');
  const headings = [...help.matchAll(/^(\S.*):$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual([
    'Arguments',
    'Model, data and task',
    'The run and its folder',
    'Target modules',
    'The adapter',
    'Steps and batches',
    'Optimization',
    'Evaluation',
    'Error handling',
    'Hardware',
    'Options',
    'Examples',
  ]);
  // Nothing but --help is left over.
  const others = help.slice(help.indexOf('Options:'), help.indexOf('Examples:'));
  expect(others.trim().split('\n')).toHaveLength(2);
  expect(help.replaceAll(/\s+/g, ' ')).toContain('default: a tenth of each class, where the data has no part for it');
  expect(await printed(100, 'merge', '--help')).toMatch(/^Options:$/m);
});

it.each([60, 100])('fits into %d columns', async (columns) => {
  for (const words of [['--help'], ['train', '--help'], ['predict', '--help'], ['merge', '--help']]) {
    const lines = (await printed(columns, ...words)).split('\n');
    // A single word may be longer, such as a pattern in an example.
    expect(lines.filter((line) => line.length > columns && line.trim().includes(' '))).toEqual([]);
    // No line begins in the middle of a word: all words are those of wide help.
    const wide = (await printed(120, ...words)).split(/\s+/);
    expect(
      lines
        .join(' ')
        .split(/\s+/)
        .filter((word) => word !== '\\' && !wide.includes(word)),
    ).toEqual([]);
  }
});

it('breaks rows of a table between words, and no other lines', () => {
  const row = '*  vit.encoder.layer.0.attention.attention.value  linear  96×96  9,312  float32    node-name';
  expect(narrowed(row, 60)).toBe(
    '*  vit.encoder.layer.0.attention.attention.value  linear\n    96×96  9,312  float32    node-name',
  );
  const command = `To continue: onnx-lora train --resume ${'runs/'.repeat(12)}`;
  expect(narrowed(command, 60)).toBe(command);
  // Colours take no place.
  const dim = `\u001B[2m${row}\u001B[22m`;
  expect(narrowed(dim, row.length)).toBe(dim);
  let text = '';
  const stdout = { write: (more: string) => (text += more), isTTY: true, columns: 60 };
  new Terminal({ stdout, stderr: stdout }).printJson({ a: 'b   c'.repeat(30) });
  expect(text.trim().split('\n')).toHaveLength(1);
});
