/** @file The page of the speech families is what the families say. `npx vitest run docs/speechFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { speechFamilies } from '@onnx-lora/speech';
import { expect, test } from 'vitest';
import { familyPage } from './familyPage.ts';

const file = fileURLToPath(new URL('guides/speech-families.md', import.meta.url));

test('the page is up to date', async () => {
  const page = await familyPage(file, {
    title: 'Speech families',
    group: 'Speech',
    order: 390,
    families: speechFamilies,
    preprocessor: 'feature extractor',
    stranger: 'an encoder of your own',
    text: 'Whisper and Moonshine are published as an encoder and one or more decoders; a folder with these files is opened as one model, and needs no other.\n\n',
  });
  await expect(page).toMatchFileSnapshot(file);
});
