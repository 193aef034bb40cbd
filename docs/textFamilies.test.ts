/** @file The page of the text families is what the families say. `npx vitest run docs/textFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { textFamilies } from '@onnx-lora/text';
import { expect, test } from 'vitest';
import { familyPage } from './familyPage.ts';

const file = fileURLToPath(new URL('guides/text-families.md', import.meta.url));

test('the page is up to date', async () => {
  const page = await familyPage(file, {
    title: 'Text families',
    group: 'Text',
    order: 550,
    families: textFamilies,
    preprocessor: 'tokenizer',
    stranger: 'a language model of your own',
    text: `A lone .onnx file is recognised by the names of its modules. Keep \`config.json\` beside it all the same: it also says which positions and which ends of an answer the model knows.

`,
  });
  await expect(page).toMatchFileSnapshot(file);
});
