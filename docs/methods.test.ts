/** @file The page of the methods is what the tuners say. `npx vitest run docs/methods.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { tuners } from '@onnx-lora/methods';
import { expect, test } from 'vitest';
import { methodPage } from './methodPage.ts';

const file = fileURLToPath(new URL('guides/methods.md', import.meta.url));

test('the page is up to date', async () => {
  await expect(await methodPage(file)).toMatchFileSnapshot(file);
});

test.each(tuners)('$name says all that its row tells', ({ description, paper = '' }) => {
  expect(description).toMatch(/^.+: .+/);
  expect(paper).toMatch(/^https:/);
});
