/** @file Public API of the diffusion package. */

export { diffusionPlugin } from './plugin.ts';
export type { Role } from './files/keys.ts';
export { type FileModule, type FileTensor, type LoraFile, parseLoraFile, readLoraFile } from './files/loraFile.ts';
export {
  type ComponentModule,
  type ComponentModules,
  type Components,
  ModuleNames,
  type Spelling,
  type Target,
} from './files/moduleNames.ts';
export { describeLoraFile, type LoraFileDescription } from './files/describe.ts';
export { openPipelineAdapter } from './files/openAdapter.ts';
export { componentModules } from './files/componentModules.ts';
export {
  type FileLayout,
  type KeyLayout,
  type ModuleLayout,
  type PipelineAdapter,
  readPipelineAdapter,
} from './files/readAdapters.ts';
export { formatLoraFile, writeLoraFile, type WriteLoraOptions } from './files/writeAdapters.ts';
export { createScheduler, schedulerNames, schedulers } from './schedulers/createScheduler.ts';
export type { Noise, Scheduler, SchedulerFactory, SchedulerRun } from './schedulers/scheduler.ts';
export type { Fields, SchedulerConfig } from './schedulers/schedule.ts';
export { openPipeline, type OpenPipelineOptions } from './pipeline/openPipeline.ts';
export { DiffusionPipeline, type PipelineParts } from './pipeline/pipeline.ts';
export type { PromptTokenizer } from './pipeline/clipTokenizer.ts';
export type { GenerateRequest, GenerateStep } from './pipeline/request.ts';
export type { Picture } from './pipeline/pictures.ts';
export { joinAdapters, splitAdapter } from './files/splitAdapter.ts';
export { openDenoiser } from './training/denoiser.ts';
export {
  type DiffusionExample,
  textToImage,
  type TextToImageOptions,
  textToImageTask,
} from './training/textToImage.ts';
export { dalle2, diffusionFamilies, flux, pixart, stableDiffusion, stableDiffusion3 } from './families/index.ts';
