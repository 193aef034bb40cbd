/** @file The documentation site: guides, concepts, and the generated reference. */

import { existsSync } from 'node:fs';
import { type DefaultTheme, defineConfig, type UserConfig } from 'vitepress';

const guides = [
  { text: 'First steps', link: '/guides/first-steps' },
  { text: 'Train on your own data', link: '/guides/train' },
  { text: 'Use and exchange adapters', link: '/guides/adapters' },
  { text: 'Merge and ship', link: '/guides/merge' },
  { text: 'The command line', link: '/guides/command-line' },
  { text: 'CPU and GPU providers', link: '/guides/providers' },
  { text: 'Check against PEFT', link: '/guides/conformance' },
  { text: 'Bring your own domain', link: '/guides/domain-package' },
];

const concepts = [
  { text: 'How it works', link: '/concepts/overview' },
  { text: 'Graphs and weights', link: '/concepts/graphs' },
  { text: 'Sites and module paths', link: '/concepts/sites' },
  { text: 'Adapters', link: '/concepts/adapters' },
  { text: 'The backward graph', link: '/concepts/autodiff' },
  { text: 'Layers and plugins', link: '/concepts/layers' },
];

// `vitepress dev` also works before the reference has been generated.
const reference = existsSync(new URL('../reference/index.md', import.meta.url))
  ? [{ text: 'Reference', link: '/reference/' }]
  : [];

const config: UserConfig<DefaultTheme.Config> = defineConfig({
  title: 'onnx-lora',
  description: 'Train, swap, merge and exchange LoRA adapters of ONNX models in Node.',
  srcExclude: ['examples/**'],
  themeConfig: {
    nav: [
      { text: 'Guides', link: '/guides/first-steps' },
      { text: 'Concepts', link: '/concepts/overview' },
      ...reference,
    ],
    sidebar: [{ text: 'Guides', items: guides }, { text: 'Concepts', items: concepts }, ...reference],
    outline: [2, 3],
    search: { provider: 'local' },
  },
});
export default config;
