/** @file A request for pictures, checked before any work begins. */

import { OnnxLoraError, type RowAdapter, type Tensor } from '@onnx-lora/sdk';
import { knownOptions } from '@onnx-lora/sdk/plugin';
import type { SchedulerConfig } from '../schedulers/schedule.ts';
import { type Picture, requirePicture } from './pictures.ts';
import type { PipelineFacts } from './facts.ts';

/** A step of a run, as told to {@link GenerateRequest.onStep}. */
export interface GenerateStep {
  /** Steps done. */
  readonly step: number;
  /** Steps of the run. */
  readonly steps: number;
  /** Latents after the step, `[batch, channels, height, width]`. */
  readonly latents: Tensor;
  /** Decodes them. */
  readonly preview: () => Promise<Picture[]>;
}

/** A request for pictures. */
export interface GenerateRequest {
  /** One prompt, or one for each picture. */
  readonly prompts: string | readonly string[];
  /** Text that pictures keep away from: one for all, or one for each. Empty by default. */
  readonly negativePrompts?: string | readonly string[];
  /** Weight of the prompt; 7.5 by default. At 1 or less there is no guidance, and steps take half the time. */
  readonly guidance?: number;
  /** Steps; 50 by default. */
  readonly steps?: number;
  /** Seed of the first picture, whose others count on from it; or one for each. 0 by default. torch's numbers on the CPU. */
  readonly seed?: number | readonly number[];
  /** Width in pixels; the model's by default. */
  readonly width?: number;
  /** Height in pixels; the model's by default. */
  readonly height?: number;
  /** Adapter of all pictures, or of each: a name, weights by name (`{ ink: 0.8 }`), or null for the base. */
  readonly adapter?: RowAdapter | readonly RowAdapter[];
  /** Another scheduler, by name (`euler`) or config, which takes over the pipeline's fields. */
  readonly scheduler?: string | SchedulerConfig;
  /** DDIM's noise, from 0 (none, the default) to 1. */
  readonly eta?: number;
  /** Pictures to begin with: one for all, or one for each prompt. */
  readonly image?: Picture | readonly Picture[];
  /** With `image`: the share of steps to take, from 0 (the picture stays) to 1; 0.8 by default, 1 with a mask. */
  readonly strength?: number;
  /** With `image`: light where the picture is to change, dark where it stays. One for all, or one for each prompt. */
  readonly mask?: Picture | readonly Picture[];
  /** First latents in place of the seed's, standard normal: `[batch, channels, height, width]`. */
  readonly latents?: Tensor;
  /** Called after each step. */
  readonly onStep?: (step: GenerateStep) => void | Promise<void>;
  /** Cancels the run. */
  readonly signal?: AbortSignal;
}

// prettier-ignore
const requireKnown = knownOptions<GenerateRequest>('pipeline.generate', {
  prompts: true, negativePrompts: true, guidance: true, steps: true, seed: true, width: true, height: true, adapter: true,
  scheduler: true, eta: true, image: true, strength: true, mask: true, latents: true, onStep: true, signal: true,
});

/** A checked request. */
export interface Plan extends Pick<GenerateRequest, 'latents' | 'onStep' | 'signal'> {
  readonly pictures: readonly { readonly prompt: string; readonly negative: string; readonly seed: number }[];
  readonly adapters: readonly RowAdapter[];
  readonly guidance: number;
  readonly steps: number;
  readonly eta: number;
  readonly scheduler: SchedulerConfig;
  /** Height and width of latents. */
  readonly latentSize: readonly [number, number];
  readonly images?: readonly Picture[];
  readonly masks?: readonly Picture[];
  readonly strength: number;
}

const MOST_PIXELS = 8192;
const MOST_CHARACTERS = 100_000;

/** @throws OnnxLoraError `INPUT_INVALID` naming the setting; `CONFIG_INVALID` for an unknown one */
export function checkedRequest(request: GenerateRequest, facts: PipelineFacts): Plan {
  requireKnown(request);
  const prompts = typeof request.prompts === 'string' ? [request.prompts] : request.prompts;
  if (
    !Array.isArray(prompts) ||
    prompts.length === 0 ||
    prompts.some((each) => typeof each !== 'string' || each.length > MOST_CHARACTERS)
  )
    // prettier-ignore
    throw wrong('prompts', 'must be a text, or a list of texts');
  const count = prompts.length;
  const each = <T>(name: string, given: T | readonly T[]): readonly T[] => {
    if (!Array.isArray(given)) return Array<T>(count).fill(given as T);
    if (given.length === count) return given as readonly T[];
    throw wrong(name, `has ${given.length} entries for ${count} prompts: give one for each, or one for all`);
  };
  const number = (name: 'guidance' | 'eta' | 'strength', usual: number, least: number, most: number): number => {
    const value = request[name] ?? usual;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw wrong(name, `is ${String(value)}, and must be from ${least} to ${most}`);
  };
  const { seed = 0 } = request;
  const seeds = typeof seed === 'number' ? prompts.map((_, i) => seed + i) : each('seed', seed);
  const bad = seeds.find((own) => !Number.isInteger(own) || own < 0 || own >= 2 ** 32);
  if (bad !== undefined) throw wrong('seed', `is ${bad}, and must be a whole number from 0 to 4294967295`);
  const pixels = facts.factor * facts.multiple;
  const side = (name: 'width' | 'height'): number => {
    const value = request[name] ?? facts.usual * facts.factor;
    if (Number.isInteger(value) && value > 0 && value % pixels === 0 && value <= MOST_PIXELS) return value;
    throw wrong(name, `is ${value}, and must be a multiple of ${pixels} up to ${MOST_PIXELS}`);
  };
  const [width, height] = [side('width'), side('height')];
  const latentSize = [height / facts.factor, width / facts.factor] as const;
  const { image, mask, latents } = request;
  const pictures = (name: 'image' | 'mask', given: Picture | readonly Picture[]): readonly Picture[] => {
    const all = each(name, given);
    for (const own of all) requirePicture(`The ${name}`, own, [width, height]);
    return all;
  };
  if (image && !facts.encodes)
    throw wrong('image', 'needs the folder vae_encoder, which the pipeline lacks: export it too');
  if (!image && (mask ?? request.strength) !== undefined) throw wrong(mask ? 'mask' : 'strength', 'needs an image');
  if (image && latents) throw wrong('latents', 'cannot go with an image');
  const expected = [count, facts.channels, ...latentSize];
  if (latents && (latents.type !== 'float32' || latents.dims.join() !== expected.join()))
    throw wrong('latents', `must be float32 [${expected.join(', ')}], and are ${latents.type} [${latents.dims.join(', ')}]`); // prettier-ignore
  const scheduler =
    typeof request.scheduler === 'string' ? { _class_name: request.scheduler } : (request.scheduler ?? {});
  const negatives = each('negativePrompts', request.negativePrompts ?? '');
  return {
    pictures: prompts.map((prompt: string, i) => ({ prompt, negative: negatives[i]!, seed: seeds[i]! })),
    adapters: each('adapter', request.adapter ?? null),
    guidance: number('guidance', 7.5, 0, 1000),
    steps: request.steps ?? 50,
    eta: number('eta', 0, 0, 1),
    strength: number('strength', mask ? 1 : 0.8, 0, 1),
    scheduler,
    latentSize,
    ...(image ? { images: pictures('image', image) } : {}),
    ...(mask ? { masks: pictures('mask', mask) } : {}),
    ...(latents ? { latents } : {}),
    ...(request.onStep ? { onStep: request.onStep } : {}),
    ...(request.signal ? { signal: request.signal } : {}),
  };
}

function wrong(name: string, problem: string): OnnxLoraError {
  return new OnnxLoraError('INPUT_INVALID', `pipeline.generate: ${name} ${problem}.`);
}
