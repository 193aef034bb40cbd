/** @file The page of all families is what the families say. `npx vitest run docs/families.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { familyTable } from './familyTable.ts';

const file = fileURLToPath(new URL('reference/families.md', import.meta.url));

test('the page is up to date', async () => {
  await expect(await familyTable(file)).toMatchFileSnapshot(file);
});
