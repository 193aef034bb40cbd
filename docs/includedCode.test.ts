/** @file Pages show files as they are. `npx vitest run docs/includedCode.test.ts -u` writes the pages. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allPages, root } from './fences/fences.ts';
import { withIncludedCode } from './fences/included.ts';

const pages = allPages().filter((page) => readFileSync(join(root, page), 'utf8').includes(' file='));

test('there are such pages', () => {
  expect(pages).toContain('docs/guides/plugin.md');
});

test.each(pages)('%s', async (page) => {
  const file = join(root, page);
  await expect(await withIncludedCode(page, readFileSync(file, 'utf8'))).toMatchFileSnapshot(file);
});

test('refuses a region that does not end', async () => {
  const page = '```ts file=examples/serve.ts#nowhere\n```\n';
  await expect(withIncludedCode('docs/page.md', page)).rejects.toThrow(/serve\.ts has no region "nowhere"/);
});
