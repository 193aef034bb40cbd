/** @file The page of the vision families is what the families say. `npx vitest run docs/visionFamilies.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { visionFamilies } from '@onnx-lora/vision';
import { expect, test } from 'vitest';
import { familyPage } from './familyPage.ts';

const file = fileURLToPath(new URL('guides/vision-families.md', import.meta.url));

test('the page is up to date', async () => {
  const page = await familyPage(file, {
    title: 'Vision families',
    group: 'Vision',
    order: 280,
    families: visionFamilies,
    preprocessor: 'image processor',
    stranger: 'a ViT of your own',
  });
  await expect(page).toMatchFileSnapshot(file);
});
