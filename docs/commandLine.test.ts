/** @file The examples of the reference of commands and settings are right. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { examplesOf } from '../packages/cli/src/options.ts';
import { readSettings } from '../packages/cli/src/settings/readSettings.ts';
import { program } from './commandPage.ts';
import { exampleOfSettings } from './settingsPage.ts';

test('the file that it shows is read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-lora-settings-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'run.yaml');
  writeFileSync(file, exampleOfSettings);
  expect(await readSettings({}, file)).toMatchObject({ batchSize: 16, targets: ['query', 'value'], validation: 0.2 });
});

test.each((await program()).commands.map((command) => [command.name(), examplesOf(command)] as const))(
  'the examples of %s have words and flags that there are',
  async (_, examples) => {
    for (const example of examples) {
      const parsed = await program();
      for (const command of parsed.commands) command.action(() => {});
      const words = wordsOf(example);
      expect(words[0]).toBe('onnx-lora');
      await expect(parsed.parseAsync(words.slice(1), { from: 'user' })).resolves.toBe(parsed);
    }
  },
);

/** The words of the call of onnx-lora in a line for a shell. */
function wordsOf(line: string): string[] {
  const [, call] = /(onnx-lora (?:'[^']*'|[^'#|>)])*)/.exec(line) ?? [];
  return [...call!.trim().matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
}
