/** @file The documentation site: guides, concepts, and the generated reference. */

import { existsSync } from 'node:fs';
import { type DefaultTheme, defineConfig, type UserConfig } from 'vitepress';

const guides = [
  { text: 'First steps', link: '/guides/first-steps' },
  { text: 'Your own data', link: '/guides/own-data' },
  { text: 'Image data', link: '/guides/image-data' },
  { text: 'Images in', link: '/guides/preprocessing' },
  { text: 'Train', link: '/guides/train' },
  { text: 'Losses', link: '/guides/losses' },
  { text: 'Augmentations', link: '/guides/augment' },
  { text: 'Classes, labels, numbers', link: '/guides/image-labels' },
  { text: 'Segment images', link: '/guides/segmentation' },
  { text: 'Prompted masks (SAM)', link: '/guides/sam' },
  { text: 'Embeddings and texts', link: '/guides/embeddings' },
  { text: 'Recordings', link: '/guides/audio' },
  { text: 'Speech data', link: '/guides/speech-data' },
  { text: 'Speech features', link: '/guides/speech-features' },
  { text: 'Speech recognition', link: '/guides/speech-recognition' },
  { text: 'CTC', link: '/guides/ctc' },
  { text: 'Transcribe', link: '/guides/transcribe' },
  { text: 'Error rates', link: '/guides/error-rates' },
  { text: 'Classify sounds', link: '/guides/audio-classification' },
  { text: 'Sequence data', link: '/guides/sequence-data' },
  { text: 'Splits of sequences', link: '/guides/sequence-splits' },
  { text: 'Tokenizers of sequences', link: '/guides/sequence-tokenizers' },
  { text: 'Tasks on sequences', link: '/guides/sequence-tasks' },
  { text: 'Tasks on residues', link: '/guides/residue-tasks' },
  { text: 'Masked language modelling', link: '/guides/masked-language-modelling' },
  { text: 'Variant effects', link: '/guides/variant-effects' },
  { text: 'Embed sequences', link: '/guides/sequence-embeddings' },
  { text: 'Metrics and baselines', link: '/guides/sequence-metrics' },
  { text: 'Serve adapters', link: '/guides/serve' },
  { text: 'Merge and ship', link: '/guides/merge' },
  { text: 'Combine adapters', link: '/guides/combine' },
  { text: 'Exchange with PEFT', link: '/guides/exchange' },
  { text: 'Vision families', link: '/guides/vision-families' },
  { text: 'Speech families', link: '/guides/speech-families' },
  { text: 'Science families', link: '/guides/science-families' },
  { text: 'The command line', link: '/guides/command-line' },
  { text: 'CPU and GPU providers', link: '/guides/providers' },
  { text: 'Check against PEFT', link: '/guides/conformance' },
  { text: 'Write a plugin', link: '/guides/plugin' },
  { text: 'Performance', link: '/performance' },
  { text: 'What adapters buy for sequences', link: '/examples/science' },
];

const concepts = [
  { text: 'How it works', link: '/concepts/overview' },
  { text: 'Layers', link: '/concepts/layers' },
  { text: 'Graph', link: '/concepts/graph' },
  { text: 'Ops', link: '/concepts/ops' },
  { text: 'Models of several files', link: '/concepts/compose' },
  { text: 'Match', link: '/concepts/match' },
  { text: 'Autodiff', link: '/concepts/autodiff' },
  { text: 'LoRA', link: '/concepts/lora' },
  { text: 'Adapter', link: '/concepts/adapter' },
  { text: 'Train', link: '/concepts/train' },
  { text: 'New heads', link: '/concepts/heads' },
  { text: 'Transcription', link: '/concepts/transcription' },
  { text: 'Clusters of sequences', link: '/concepts/sequence-clusters' },
  { text: 'Runtime', link: '/concepts/runtime' },
  { text: 'Model and plugin', link: '/concepts/plugin' },
];

// `vitepress dev` also works before the reference has been generated.
const reference = existsSync(new URL('../reference/index.md', import.meta.url))
  ? [{ text: 'Reference', link: '/reference/' }]
  : [];

const config: UserConfig<DefaultTheme.Config> = defineConfig({
  title: 'onnx-lora',
  description: 'Train, swap, merge and exchange LoRA adapters of ONNX models in Node.',
  srcExclude: ['examples/models/**', 'examples/data/**', 'examples/dist/**'],
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
