/** @file The page of the operators is what the SDK's tables say. `npx vitest run docs/operators.test.ts -u` writes it. */

import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { operatorPage } from './operatorPage.ts';

const file = fileURLToPath(new URL('reference/operators.md', import.meta.url));

test('the page is up to date', async () => {
  await expect(await operatorPage(file)).toMatchFileSnapshot(file);
});
