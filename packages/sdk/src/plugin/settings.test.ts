/** @file Tests of tables of settings: what is taken, which options it gives, and how what cannot be is refused. */

import { describe, expect, it, test } from 'vitest';
import { definePlugin } from './registry/definePlugin.ts';
import { guardedFactory } from './guards/guardedTask.ts';
import { loadPlugins } from './registry/loadPlugins.ts';
import { settingsOf } from './settings.ts';
import type { TaskFactory } from './taskFactory.ts';

interface Options {
  readonly language?: string;
  readonly head?: 'auto' | 'new' | 'keep' | undefined;
  readonly threshold?: number | 'tuned';
  readonly epochs?: number;
  readonly identity?: number;
  readonly decay?: number;
  readonly dynamic?: boolean;
  readonly mask?: { readonly share?: number };
  readonly columns?: { readonly label?: string; readonly values?: string | readonly string[] };
  readonly weights?: readonly number[];
}

const table = settingsOf<Options>({
  language: { kind: 'text', description: 'What is spoken.' },
  head: { kind: 'choice', of: ['auto', 'new', 'keep'], description: 'Whether there is a new head.' },
  threshold: { kind: 'number', or: ['tuned'], min: 0, max: 1, description: 'From where.' },
  epochs: { kind: 'number', whole: true, min: 1, max: 10, description: 'How often.' },
  identity: { kind: 'number', above: 0, max: 1, description: 'How alike.' },
  decay: { kind: 'number', above: 0, below: 1, example: 0.999, description: 'How slowly.' },
  dynamic: { name: 'fixed', kind: 'flag', to: (fixed) => !fixed, description: 'Always the same.' },
  mask: { kind: 'flag', to: (on) => (on ? { share: 0.1 } : undefined), description: 'Hides parts.' },
  columns: {
    label: { name: 'columns.label', kind: 'text', description: 'Column with the class.' },
    values: { name: 'columns.values', kind: 'texts', description: 'Columns with numbers.' },
  },
  weights: {
    kind: 'texts',
    to: (texts) => (texts.every((text) => Number(text) >= 0) ? texts.map(Number) : undefined),
    must: 'numbers of at least 0',
    description: 'How much each counts.',
  },
});

describe('settings', () => {
  test('are listed by their names, in their order', () => {
    expect(table.rows.map(({ name }) => name).join(' ')).toBe(
      'language head threshold epochs identity decay fixed mask columns.label columns.values weights',
    );
    expect(table.rows[1]).toEqual({
      name: 'head',
      kind: 'choice',
      of: ['auto', 'new', 'keep'],
      description: 'Whether there is a new head.',
    });
  });

  test('give options, those of options within others too', () => {
    expect(table.read(undefined)).toEqual({});
    const words = { head: 'new', threshold: '0.3', fixed: 'true', mask: 'true', 'columns.label': 'kind', 'columns.values': 'a, b', weights: '1,2' }; // prettier-ignore
    const options = {
      head: 'new',
      threshold: 0.3,
      dynamic: false,
      mask: { share: 0.1 },
      columns: { label: 'kind', values: ['a', 'b'] },
      weights: [1, 2],
    };
    expect(table.read(words)).toEqual(options);
    // Checked settings pass again: a command checks before the task does.
    const checked = table.check(words);
    expect(checked).toMatchObject({ threshold: 0.3, fixed: true, weights: ['1', '2'] });
    expect([table.check(checked), table.read(checked)]).toEqual([checked, options]);
    // A file may hold a name that reads as a number; a value without an option is the default.
    expect(table.read({ language: 3, threshold: 'tuned', mask: false })).toEqual({ language: '3', threshold: 'tuned' });
  });

  it.each([
    [{ head: 'nwe' }, 'The setting head must be one of auto, new, keep, but it is "nwe". Did you mean "new"? Correct it.'],
    [{ language: '' }, 'The setting language must not be empty, but it is "". Correct it.'],
    [{ language: true }, 'The setting language must be text, but it is true. Correct it.'],
    [{ threshold: 'tund' }, 'The setting threshold must be a number, or tuned, but it is "tund". Did you mean "tuned"? Correct it.'],
    [{ threshold: 2 }, 'The setting threshold must be a number, or tuned, but it is 2. Correct it.'],
    [{ epochs: 1.5 }, 'The setting epochs must be a whole number of at least 1, but it is 1.5. Correct it.'],
    [{ epochs: '11' }, 'The setting epochs must be a whole number from 1 to 10, but it is "11". Correct it.'],
    [{ identity: 0 }, 'The setting identity must be a number above 0, but it is 0. Correct it.'],
    [{ identity: 3 }, 'The setting identity must be a number above 0 and not above 1, but it is 3. Correct it.'],
    [{ decay: 1 }, 'The setting decay must be a number between 0 and 1, such as 0.999, but it is 1. Correct it.'],
    [{ fixed: 'yes' }, 'The setting fixed must be true or false, but it is "yes". Correct it.'],
    [{ 'columns.values': [] }, 'The setting columns.values must not be empty, but it is []. Correct it.'],
    [{ weights: '1,-2' }, 'The setting weights must be numbers of at least 0, but it is "1,-2". Correct it.'],
    [{ hed: 'new' }, 'The task has no setting "hed". Did you mean "head"? It has language, head,'],
  ])('%j is refused', (given, message) => {
    const refused = expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) });
    expect(() => table.read(given)).toThrow(refused);
    expect(() => table.check(given)).toThrow(refused);
  }); // prettier-ignore

  test('are named as whoever asks names them', () => {
    const source = { owner: 'The task "a"', where: (name: string) => `--set ${name}`, remedy: () => 'Leave it out.' };
    expect(() => table.read({ epochs: 'many' }, source)).toThrow(
      '--set epochs must be a whole number of at least 1, but it is "many". Leave it out.',
    );
    expect(() => settingsOf({}).read({ epochs: 3 }, source)).toThrow(
      'The task "a" has no settings of its own, so --set epochs has no use. Leave it out.',
    );
  });
});

describe('a task of a plugin', () => {
  const given: unknown[] = [];
  const factory: TaskFactory = {
    name: 'cells',
    description: 'Counts cells.',
    settings: table,
    create: ({ settings }) => {
      given.push(settings);
      return { name: 'cells', prepare: () => Promise.reject(new Error('unused')) };
    },
  };

  test('is given what its table has checked', () => {
    guardedFactory(factory).create({ data: 'x', seed: 0, settings: { epochs: '3' } });
    expect(given).toEqual([{ epochs: 3 }]);
    expect(() => guardedFactory(factory).create({ data: 'x', seed: 0, settings: { epoch: 3 } })).toThrow(
      'The task "cells" has no setting "epoch". Did you mean "epochs"?',
    );
  });

  test('with a list of settings, as they were once, is told what to change', () => {
    const list = [{ name: 'season', kind: 'number', description: 'Rows.' }] as never;
    const plugin = definePlugin({ name: 'old', tasks: [{ ...factory, settings: list }] });
    expect(() => loadPlugins([plugin])).toThrow(/lists its settings, which must be a table.*settingsOf\(\{ season:/);
  });
});
