/** @file Every page says where the sidebar has it, and is found there; what is made of pages otherwise. */

import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { exampleNames, examplePage } from './.vitepress/examples.ts';
import { linksIn, type Page, readPages, sidebarOf } from './.vitepress/pages.ts';
import { slugify } from './.vitepress/slugify.ts';
import { summaryOf } from './.vitepress/summary.ts';

// Throws where a page has no front matter.
const pages = readPages();
const links = linksIn(sidebarOf(pages));

test.each(['tutorials', 'guides', 'concepts', 'reference'])('the sidebar has every page of docs/%s, once', (folder) => {
  const files = readdirSync(new URL(folder, import.meta.url)).filter((file) => file.endsWith('.md'));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const link = `/${folder}/${file.replace(/(?:^index)?\.md$/, '')}`;
    expect(links.filter((each) => each === link)).toEqual([link]);
  }
});

test('no two pages of a section have the same title', () => {
  for (const { text, items = [] } of sidebarOf(pages)) {
    const titles = items.flatMap((item) => [item, ...(item.items ?? [])]).map((item) => item.text);
    expect(titles.filter((title, i) => titles.indexOf(title) !== i).map((title) => `${text}: ${title}`)).toEqual([]);
  }
});

test('pages with a group stand in it, where its first page would', () => {
  const page = (path: string, order: number, group?: string): Page => ({
    path,
    title: path,
    order,
    ...(group !== undefined && { group }),
  });
  const sidebar = sidebarOf([
    page('guides/a.md', 1),
    page('guides/b.md', 2, 'Speech'),
    page('guides/c.md', 3, 'Vision'),
    page('guides/d.md', 4, 'Speech'),
    page('guides/first-steps.md', 5),
    page('comparison.md', 6),
  ]);
  expect(sidebar.filter(({ text }) => text !== 'Reference')).toEqual([
    { text: 'Get started', items: [{ text: 'guides/first-steps.md', link: '/guides/first-steps' }] },
    {
      text: 'How-to guides',
      items: [
        { text: 'guides/a.md', link: '/guides/a' },
        {
          text: 'Speech',
          collapsed: true,
          items: [
            { text: 'guides/b.md', link: '/guides/b' },
            { text: 'guides/d.md', link: '/guides/d' },
          ],
        },
        { text: 'Vision', collapsed: true, items: [{ text: 'guides/c.md', link: '/guides/c' }] },
      ],
    },
    { text: 'Measured', items: [{ text: 'comparison.md', link: '/comparison' }] },
  ]);
});

test.each([
  [
    '---\ntitle: x\n---\n\n# Title\n\nA summary of `a`, [here](b.md). And *more*.\n\nNot this.',
    'A summary of a, here. And more.',
  ],
  ['[Reference](../index.md) / x\n\n# x\n\n> **x**(): `void`\n\n```ts\nlet a;\n```\n\nDoes x.', 'Does x.'],
  [`# x\n\n${'word '.repeat(40)}end.`, `${'word '.repeat(32).trim()} …`],
  [`# x\n\nFirst. Second ${'word '.repeat(40)}end.`, 'First.'],
  ['# x\n\n- a list', ''],
])('what %j is about', (markdown, summary) => {
  expect(summaryOf(markdown)).toBe(summary);
});

test.each([
  ["For ONNX Runtime's other languages", 'for-onnx-runtimes-other-languages'],
  ['TARGET_NOT_FOUND', 'target-not-found'],
  ['q, k and `v`: LoRA-FA', 'q-k-and-v-lora-fa'],
])('the anchor of %j', (heading, anchor) => {
  expect(slugify(heading)).toBe(anchor);
});

test('the source of each example is a page', () => {
  expect(exampleNames()).toContain('quickstart');
  for (const name of exampleNames()) {
    // The comment at the head of the file is prose, and marks for pages are left out.
    expect(examplePage(name)).toMatch(new RegExp(`^# ${name}\\.ts\n\n[A-Z][^\n]+\\.\n\n\`\`\`\`ts\n`));
    expect(examplePage(name)).not.toMatch(/@file|#(?:end)?region/);
  }
});
