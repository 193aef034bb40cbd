/**
 * @file The reference of commands and settings is what the command line says, and what it shows is right.
 * `npx vitest run docs/commandLine.test.ts -u` writes the pages.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { commandScope, Context } from '../packages/cli/src/context.ts';
import { examplesOf } from '../packages/cli/src/options.ts';
import { createProgram } from '../packages/cli/src/program.ts';
import { readSettings } from '../packages/cli/src/settings/readSettings.ts';
import { allOwnPlugins } from '../packages/cli/src/plugins/own.ts';
import { commandPage } from './commandPage.ts';
import { exampleOfSettings, settingsPage } from './settingsPage.ts';

const at = (name: string): string => fileURLToPath(new URL(`reference/${name}.md`, import.meta.url));

const nobody = { write: () => {} };
const context = await Context.of(commandScope({ stdout: nobody, stderr: nobody }));
await context.load([], await allOwnPlugins());

function program(): ReturnType<typeof createProgram> {
  return createProgram(context);
}

test('the page of commands is up to date', async () => {
  const page = at('command-line');
  await expect(await commandPage(page, await program())).toMatchFileSnapshot(page);
});

test('the page of settings is up to date', async () => {
  const page = at('settings');
  // The file of a server has settings of its own, which its guide lists.
  const takers = (await program()).commands.filter((each) => each.name() !== 'serve' && each.options.some(({ long }) => long === '--config')); // prettier-ignore
  const text = await settingsPage(
    page,
    takers.map((command) => command.name()),
  );
  await expect(text).toMatchFileSnapshot(page);
});

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
