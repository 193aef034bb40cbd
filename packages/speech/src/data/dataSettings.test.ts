import { settingsOf } from '@onnx-lora/sdk/plugin';
import { expect, test } from 'vitest';
import { speechDataSettings } from './manifest.ts';
import type { SpeechDataOptions } from './speechRecord.ts';

const table = settingsOf<SpeechDataOptions>(speechDataSettings);

test('every setting gives an option', () => {
  for (const { name, kind, of } of table.rows) {
    const value = of?.[0] ?? (kind === 'number' ? 2 : 'any');
    expect(JSON.stringify(table.read({ [name]: value })), name).toContain(JSON.stringify(value));
  }
  expect(table.read({ 'columns.audio': 'a', 'columns.split': 'b' })).toEqual({ columns: { audio: 'a', split: 'b' } });
});

test.each(['missingAudio', 'splitBy', 'evalSplit'])('%s is one of some words', (name) => {
  expect(() => table.read({ [name]: 'x' })).toThrow(`The setting ${name} must be one of `);
});
