/** @file The page of all families is what the families say. `npx vitest run docs/families.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { scienceFamilies } from '@onnx-lora/science';
import { speechFamilies } from '@onnx-lora/speech';
import { textFamilies } from '@onnx-lora/text';
import { visionFamilies } from '@onnx-lora/vision';
import { expect, test } from 'vitest';
import { familyTable } from './familyTable.ts';

const file = fileURLToPath(new URL('reference/families.md', import.meta.url));

test('the page is up to date', async () => {
  await expect(await familyTable(file)).toMatchFileSnapshot(file);
});

test.each([...visionFamilies, ...speechFamilies, ...scienceFamilies, ...textFamilies])(
  '$name says all that its page tells',
  (family) => {
    const { name, title, paper = '', targetsFrom = '' } = family;
    expect(title).not.toBe(name);
    expect(paper).toMatch(/\w/);
    expect(targetsFrom).toMatch(/\w/);
  },
);
