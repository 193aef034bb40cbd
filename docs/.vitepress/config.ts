/** @file The documentation site. A page's front matter says where the sidebar has it; see pages.ts. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DefaultTheme, defineConfig, type UserConfig } from 'vitepress';
import { examplePage, linkExamples } from './examples.ts';
import { linksIn, readPages, root, sidebarOf } from './pages.ts';
import { slugify } from './slugify.ts';
import { summaryOf } from './summary.ts';
import { boxTables } from './tables.ts';

const sidebar = sidebarOf(readPages());
const reference = sidebar.filter(({ text }) => text === 'Reference');

const config: UserConfig<DefaultTheme.Config> = defineConfig({
  lang: 'en-GB',
  title: 'onnx-lora',
  description: 'LoRA for ONNX models, in Node, without Python.',
  srcExclude: ['**/README.md'],
  // A list of all pages, in a file of its own rather than in each of a thousand pages.
  metaChunk: true,
  transformHead: ({ siteData: { base } }) => [
    ['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}logo.svg` }],
  ],
  transformPageData: ({ filePath, description, params }) => ({
    description:
      description || summaryOf(params ? examplePage(params['name']) : readFileSync(join(root, filePath), 'utf8')),
  }),
  markdown: {
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    anchor: { slugify },
    config: (md) => {
      linkExamples(md);
      boxTables(md);
    },
  },
  themeConfig: {
    logo: '/logo.svg',
    // All sections but the last.
    nav: sidebar.slice(0, -1).map(({ text, items = [] }) => ({ text: text!, link: linksIn(items)[0]! })),
    sidebar: {
      '/': sidebar,
      '/reference/': reference,
      '/sources/': reference,
    },
    outline: [2, 3],
    search: {
      provider: 'local',
      options: {
        miniSearch: {
          searchOptions: {
            // Guides come before the reference, and before properties of the same name, whose sections are short and so match
            // well. Properties of the SDK's options come before the types that pass them on.
            boostDocument: (id: string) => {
              if (id.includes('/reference/api/')) return /\/sdk\/index\/.*Options\.html/.test(id) ? 0.22 : 0.1;
              return id.includes('/reference/') ? 0.5 : 1;
            },
          },
        },
      },
    },
    notFound: {
      title: 'There is no such page',
      quote: 'It may have moved. The search above looks through all pages.',
      linkText: 'To the home page',
      linkLabel: 'To the home page',
    },
  },
  vite: {
    // The index for searching, which is loaded at the first search, is a chunk of some 3,000 kB.
    build: { chunkSizeWarningLimit: 6000 },
  },
});
export default config;
