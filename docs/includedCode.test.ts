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

/** Contents of a fence that names a region of a file. */
async function shown(file: string, region: string): Promise<string> {
  const page = await withIncludedCode('docs/page.md', `\`\`\`ts file=${file}#${region}\n\`\`\`\n`);
  return page.split('\n').slice(1, -2).join('\n');
}

test('a region is shown as it is', async () => {
  expect(await shown('examples/plugins/token.ts', 'key')).toMatch(/^\/\*\* Reads the samples of a file\. \*\/\nexport type SampleReader = /); // prettier-ignore
});

test('refuses what is no region', async () => {
  await expect(shown('examples/serve.ts', 'nowhere')).rejects.toThrow(
    'serve.ts has no region "nowhere" that also ends by that name.',
  );
});
