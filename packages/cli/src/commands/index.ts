/** @file All commands in the order of help, each loaded when called. */

import type { Plugin } from '@onnx-lora/sdk/plugin';
import type { Command } from 'commander';
import type { Context } from '../context.ts';

export interface CommandEntry {
  /** One line for the general help. */
  readonly summary: string;
  readonly load: () => Promise<(context: Context) => Command>;
  /** Replaces a built-in plugin for it. */
  readonly inPlaceOf?: (plugin: Plugin) => Promise<Plugin>;
}

export const commands: Readonly<Record<string, CommandEntry>> = {
  inspect: {
    summary: 'list what a model is and which of its modules can be adapted',
    load: async () => (await import('./inspect.ts')).inspectCommand,
  },
  train: { summary: 'train an adapter', load: async () => (await import('./train.ts')).trainCommand },
  sweep: {
    summary: 'find out by trials which way to train is best',
    load: async () => (await import('./sweep.ts')).sweepCommand,
  },
  jobs: {
    summary: 'list, follow and stop the jobs of a cluster',
    load: async () => (await import('./jobs.ts')).jobsCommand,
  },
  continual: {
    summary: 'learn several tasks in turn, and measure forgetting',
    load: async () => (await import('./continual.ts')).continualCommand,
  },
  eval: {
    summary: 'measure a model on labelled data, with or without an adapter',
    load: async () => (await import('./evaluate.ts')).evalCommand,
  },
  compare: {
    summary: 'put training runs beside each other',
    load: async () => (await import('./compare.ts')).compareCommand,
  },
  predict: {
    summary: 'answer for files that nobody has labelled',
    load: async () => (await import('./predict.ts')).predictCommand,
  },
  generate: {
    summary: 'make pictures from prompts, with LoRA files',
    load: async () => (await import('./generate.ts')).generateCommand,
  },
  chat: { summary: 'talk with a language model', load: async () => (await import('./chat.ts')).chatCommand },
  serve: {
    summary: 'answer over HTTP, with any number of adapters',
    load: async () => (await import('./serve.ts')).serveCommand,
    inPlaceOf: async (plugin) => (await import('./serve.ts')).bounded(plugin),
  },
  merge: {
    summary: "fold adapters into a model's weights",
    load: async () => (await import('./adapters/merge.ts')).mergeCommand,
  },
  unmerge: {
    summary: 'take merged adapters out of a model again',
    load: async () => (await import('./adapters/merge.ts')).unmergeCommand,
  },
  export: {
    summary: 'write a model whose adapters are optional inputs, for other languages and for Triton',
    load: async () => (await import('./adapters/export.ts')).exportCommand,
  },
  build: {
    summary: 'make an ONNX model of a checkpoint: config.json and safetensors',
    load: async () => (await import('./build.ts')).buildCommand,
  },
  quantize: {
    summary: 'write a model with its linear layers in 8 or 4 bits',
    load: async () => (await import('./quantize.ts')).quantizeCommand,
  },
  combine: {
    summary: 'make one adapter out of several',
    load: async () => (await import('./adapters/combine.ts')).combineCommand,
  },
  convert: {
    summary: 'turn an adapter from one file format into another, or give its modules other names',
    load: async () => (await import('./adapters/convert.ts')).convertCommand,
  },
  preprocess: {
    summary: 'write exactly what a model is fed for files',
    load: async () => (await import('./preprocess.ts')).preprocessCommand,
  },
  run: {
    summary: 'write the raw outputs of a model for given feeds',
    load: async () => (await import('./run.ts')).runCommand,
  },
  tasks: {
    summary: 'list tasks and their settings',
    load: async () => (await import('./about/tasks.ts')).tasksCommand,
  },
  plugins: {
    summary: 'list plugins and what they bring',
    load: async () => (await import('./about/plugins.ts')).pluginsCommand,
  },
  cache: {
    summary: 'list and clear what is kept for the next start',
    load: async () => (await import('./about/cache.ts')).cacheCommand,
  },
  schema: {
    summary: 'print the JSON schema of the settings that --config takes',
    load: async () => (await import('./about/schema.ts')).schemaCommand,
  },
  explain: { summary: 'explain an error code', load: async () => (await import('./about/explain.ts')).explainCommand },
  completion: {
    summary: 'print the script by which a shell completes onnx-lora',
    load: async () => (await import('./about/completion.ts')).completionCommand,
  },
};
