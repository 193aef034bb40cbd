/** @file Opens a pipeline's folder, as Optimum exports it. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Model, openModel, type OpenOptions, OnnxLoraError } from '@onnx-lora/sdk';
import { isObject, readJsonObject } from '@onnx-lora/sdk/data';
import { notFound } from '@onnx-lora/sdk/plugin';
import { diffusionPlugin } from '../plugin.ts';
import type { SchedulerConfig } from '../schedulers/schedule.ts';
import { openClipTokenizer } from './clipTokenizer.ts';
import { DiffusionPipeline } from './pipeline.ts';

/** Options of {@link openPipeline}: those of `openModel` that fit every network. */
export type OpenPipelineOptions = Pick<OpenOptions, 'plugins' | 'runtime' | 'workerRuntime' | 'precision' | 'variant'>;

/** Largest model_index.json and scheduler_config.json. */
const MOST_BYTES = 1 << 20;

/** Pipelines of diffusers that have one UNet and CLIP's text encoder. */
const classes: ReadonlySet<string> = new Set([
  'StableDiffusionPipeline',
  'StableDiffusionImg2ImgPipeline',
  'StableDiffusionInpaintPipeline',
  'LatentConsistencyModelPipeline',
]);

/**
 * Opens a pipeline of Stable Diffusion 1 or 2 that Optimum has exported: `model_index.json`, `unet`, `text_encoder`,
 * `vae_decoder` and, to begin with pictures, `vae_encoder`, with `tokenizer` and `scheduler`. Networks are loaded at
 * first need.
 * @example
 * const pipeline = await openPipeline('models/stable-diffusion');
 * await pipeline.add('ink', 'ink-style.safetensors');
 * const [picture] = await pipeline.generate({ prompts: 'an owl in ink', adapter: { ink: 0.8 }, seed: 7 });
 * @throws OnnxLoraError `FILE_NOT_FOUND` for a missing part; `CONFIG_INVALID` for a damaged config;
 *   `MODEL_UNSUPPORTED` for another kind of pipeline
 */
export async function openPipeline(folder: string, options: OpenPipelineOptions = {}): Promise<DiffusionPipeline> {
  const index = await jsonIn(folder, 'model_index.json');
  const kind = String(index['_class_name']);
  if (!classes.has(kind)) {
    throw new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${folder}" is a ${kind}, and pipelines of Stable Diffusion 1 and 2 are opened (${[...classes].join(', ')}). Its graphs open one by one with openModel.`,
    );
  }
  const scheduler = (await jsonIn(folder, 'scheduler/scheduler_config.json')) as SchedulerConfig;
  const tokenizer = await openClipTokenizer(path.join(folder, 'tokenizer'));
  const models: Record<string, Model> = {};
  for (const part of ['unet', 'text_encoder', 'vae_decoder', 'vae_encoder']) {
    const own = path.join(folder, part);
    if (part === 'vae_encoder' && !existsSync(own)) continue;
    if (!existsSync(own)) throw notFound('folder', own, { remedy: 'Export the pipeline again, with all its parts.' });
    models[part] = await openModel(own, { ...options, plugins: options.plugins ?? [diffusionPlugin] });
  }
  return new DiffusionPipeline({ folder, models, tokenizer, scheduler });
}

async function jsonIn(folder: string, name: string): Promise<Readonly<Record<string, unknown>>> {
  const file = path.join(folder, name);
  const json = await readJsonObject(file, MOST_BYTES, 'a pipeline');
  if (json && isObject(json)) return json;
  throw notFound('file', file, { remedy: 'Name the folder of a pipeline, as Optimum exports it.' });
}
