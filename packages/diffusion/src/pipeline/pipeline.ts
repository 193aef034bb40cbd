/** @file A pipeline of Stable Diffusion: its networks, its adapters, and pictures from prompts. */

import { type Model, OnnxLoraError, type RowAdapter, type Tensor, tensor } from '@onnx-lora/sdk';
import { didYouMean, numberTensor, TorchRandom } from '@onnx-lora/sdk/plugin';
import { componentModules } from '../files/componentModules.ts';
import type { Components } from '../files/moduleNames.ts';
import { openPipelineAdapter } from '../files/openAdapter.ts';
import type { PipelineAdapter } from '../files/readAdapters.ts';
import { createScheduler } from '../schedulers/createScheduler.ts';
import type { SchedulerConfig } from '../schedulers/schedule.ts';
import type { Scheduler } from '../schedulers/scheduler.ts';
import type { PromptTokenizer } from './clipTokenizer.ts';
import { factsOf, type PipelineFacts } from './facts.ts';
import { maskOf, type Picture, picturesOf, pixelsOf } from './pictures.ts';
import { promptFeeds } from './promptFeeds.ts';
import { checkedRequest, type GenerateRequest, type Plan } from './request.ts';
import { joined } from './rows.ts';
import { type PipelineRun, PipelineSessions } from './sessions.ts';

/** The parts of a pipeline. */
export interface PipelineParts {
  /** Its folder, for errors. */
  readonly folder: string;
  /** Its networks: `unet`, `text_encoder`, `vae_decoder` and, to begin with pictures, `vae_encoder`. */
  readonly models: Readonly<Record<string, Model>>;
  /** Turns prompts into tokens. */
  readonly tokenizer: PromptTokenizer;
  /** `scheduler_config.json`. */
  readonly scheduler: SchedulerConfig;
}

/** Networks that adapters change. */
const adapted = ['unet', 'text_encoder'] as const;

/** Makes pictures from prompts, with any number of adapters. */
export class DiffusionPipeline implements AsyncDisposable {
  /** Its folder. */
  readonly folder: string;
  /** Its networks by diffusers' name. */
  readonly models: Readonly<Record<string, Model>>;
  /** Layers that LoRA files may name. */
  readonly components: Components;
  /** The config of its scheduler. */
  readonly scheduler: SchedulerConfig;
  readonly #tokenizer: PromptTokenizer;
  readonly #sessions: PipelineSessions;
  readonly #facts: PipelineFacts;

  /** Use `openPipeline`. */
  constructor({ folder, models, tokenizer, scheduler }: PipelineParts) {
    this.folder = folder;
    this.models = models;
    this.scheduler = scheduler;
    this.#tokenizer = tokenizer;
    this.#sessions = new PipelineSessions(models);
    this.#facts = factsOf(models);
    this.components = Object.fromEntries(adapted.map((name) => [name, componentModules(models[name]!)]));
  }

  /** Names of the adapters. */
  get adapterNames(): readonly string[] {
    return this.#sessions.names;
  }

  /**
   * Adds an adapter, or replaces the one of that name, for later pictures.
   * @param source the path of a LoRA file or of a folder of adapters, or adapters by network
   * @throws OnnxLoraError as `openPipelineAdapter`; `ADAPTER_MISMATCH` for adapters of other networks
   */
  async add(name: string, source: string | PipelineAdapter): Promise<void> {
    const adapter = typeof source === 'string' ? await openPipelineAdapter(source, this.components) : source;
    for (const [component, own] of Object.entries(adapter.adapters)) {
      const model = this.components[component] && this.models[component];
      if (!model)
        throw new OnnxLoraError('ADAPTER_MISMATCH', `The adapter "${name}" changes "${component}", which the pipeline "${this.folder}" lacks. Use an adapter of this kind of pipeline.`); // prettier-ignore
      await model.place(own);
    }
    this.#sessions.set(name, adapter);
  }

  /** The size in pixels of pictures that a request names, and the model's where it names none. */
  size({ width, height }: { readonly width?: number | undefined; readonly height?: number | undefined } = {}): {
    readonly width: number;
    readonly height: number;
  } {
    const usual = this.#facts.usual * this.#facts.factor;
    return { width: width ?? usual, height: height ?? usual };
  }

  /** Removes an adapter; false if the name is unknown. */
  remove(name: string): boolean {
    return this.#sessions.remove(name);
  }

  /**
   * Makes a picture for each prompt, all in one batch.
   * @example
   * const [owl] = await pipeline.generate({ prompts: 'an owl in ink', steps: 20, seed: 7 });
   * @throws OnnxLoraError `INPUT_INVALID` for an unknown adapter and settings out of range, before any work;
   *   `CANCELLED`, `RUNTIME_FAILED`, `OUT_OF_MEMORY`
   */
  async generate(request: GenerateRequest & { readonly prompts: string }): Promise<[Picture]>;
  async generate(request: GenerateRequest): Promise<Picture[]>;
  async generate(request: GenerateRequest): Promise<Picture[]> {
    const plan = checkedRequest(request, this.#facts);
    for (const name of plan.adapters.flatMap((row) => (row === null ? [] : typeof row === 'string' ? [row] : Object.keys(row)))) // prettier-ignore
      if (!this.adapterNames.includes(name))
        throw new OnnxLoraError('INPUT_INVALID', `The pipeline has no adapter "${name}".${didYouMean(name, this.adapterNames)} Add it before.`); // prettier-ignore
    const scheduler = createScheduler({ ...this.scheduler, ...plan.scheduler }, { steps: plan.steps, eta: plan.eta });
    const latents = await this.#denoise(plan, scheduler);
    return picturesOf(await this.decode(latents));
  }

  /**
   * The text encoder's states for prompts, `[prompts, tokens, width]`.
   * @param adapters one for each prompt; the base by default
   */
  async encodePrompts(
    prompts: readonly string[],
    adapters: readonly RowAdapter[] = prompts.map(() => null),
  ): Promise<Tensor> {
    return this.#sessions.with(adapters, (run) => this.#encode(run, prompts));
  }

  async #encode(run: PipelineRun, prompts: readonly string[]): Promise<Tensor> {
    const { inputs } = this.models['text_encoder']!;
    const feeds = promptFeeds(
      inputs,
      prompts.map((prompt) => this.#tokenizer.encode(prompt)),
    );
    const name = 'last_hidden_state';
    const outputs = await run.call({ component: 'text_encoder', feeds, fetches: [name] });
    return outputs[name]!;
  }

  /** Pictures of latents `[batch, channels, height, width]`, as the decoder gives them: `[batch, 3, height, width]`, −1 to 1. */
  async decode(latents: Tensor): Promise<Tensor> {
    const { scaling, shift } = this.#facts;
    const scaled = (latents.data as Float32Array).map((value) => value / scaling + shift);
    return this.#autoencoder('vae_decoder', { ...latents, data: scaled });
  }

  /** Latents of pictures of one size: the encoder's means, or drawn around them with standard normal `noise`. */
  async encode(pictures: readonly Picture[], noise?: Float32Array): Promise<Tensor> {
    const { scaling, shift, channels: own } = this.#facts;
    const { data, dims } = await this.#autoencoder('vae_encoder', pixelsOf(pictures));
    const [batch, both, height, width] = dims as [number, number, number, number];
    const channels = both === 2 * own ? own : both;
    const each = channels * height * width;
    const values = new Float32Array(batch * each).map((_, i) => {
      const from = Math.floor(i / each) * both * height * width + (i % each);
      // Beside the means lie logarithms of variances.
      const deviation = both > channels ? Math.exp(Math.min(Math.max(Number(data[from + each]), -30), 20) / 2) : 0;
      return (Number(data[from]) + deviation * (noise?.[i] ?? 0) - shift) * scaling;
    });
    return tensor('float32', values, [batch, channels, height, width]);
  }

  async #autoencoder(component: 'vae_decoder' | 'vae_encoder', value: Tensor): Promise<Tensor> {
    const { inputs, outputs } = this.models[component]!;
    const [[input], [output]] = [Object.keys(inputs), Object.keys(outputs)] as [[string], [string]];
    const rows = Array<null>(value.dims[0]!).fill(null);
    const feeds = { [input]: value };
    return this.#sessions.with(rows, async (run) => (await run.call({ component, feeds, fetches: [output] }))[output]!);
  }

  async #denoise(plan: Plan, scheduler: Scheduler): Promise<Tensor> {
    const { pictures, guidance, adapters, signal } = plan;
    const isGuided = guidance > 1;
    const dims = [pictures.length, this.#facts.channels, ...plan.latentSize];
    const size = dims.slice(1).reduce((all, dim) => all * dim, 1);
    const randoms = pictures.map(({ seed }) => new TorchRandom(seed));
    const noise = (): Float32Array => joined(randoms.map((random) => random.normal(size)));
    const chosen = isGuided ? [...adapters, ...adapters] : adapters;
    const prompts = [...(isGuided ? pictures.map(({ negative }) => negative) : []), ...pictures.map(({ prompt }) => prompt)]; // prettier-ignore
    const { first, start, keep } = await this.#begin(plan, scheduler, noise);
    let latents = start;
    return this.#sessions.with(chosen, async (run) => {
      const states = await this.#encode(run, prompts);
      for (let step = first; step < scheduler.timesteps.length; step++) {
        if (signal?.aborted) throw new OnnxLoraError('CANCELLED', 'The pictures were cancelled. Ask for them again.');
        const scaled = scheduler.scaleInput(latents, step);
        const feeds = {
          sample: tensor('float32', isGuided ? joined([scaled, scaled]) : scaled, [chosen.length, ...dims.slice(1)]),
          timestep: this.#timestep(scheduler.timesteps[step]!, chosen.length),
          encoder_hidden_states: states,
        };
        const { out_sample: output } = await run.call({ component: 'unet', feeds, fetches: ['out_sample'], signal });
        const predicted = isGuided ? guided(output!.data as Float32Array, guidance) : (output!.data as Float32Array);
        latents = scheduler.step(predicted, step, latents, noise);
        if (keep) latents = keep(latents, step + 1);
        const now = tensor('float32', latents.slice(), dims);
        const [done, steps] = [step + 1 - first, scheduler.timesteps.length - first];
        await plan.onStep?.({
          step: done,
          steps,
          latents: now,
          preview: async () => picturesOf(await this.decode(now)),
        });
      }
      return tensor('float32', latents, dims);
    });
  }

  /** The first step and its sample: pure noise, or a picture with noise. */
  async #begin(plan: Plan, scheduler: Scheduler, noise: () => Float32Array): Promise<Beginning> {
    if (!plan.images) {
      const first = plan.latents ? Float32Array.from(plan.latents.data as Float32Array) : noise();
      return { first: 0, start: first.map((value) => value * scheduler.initialDeviation) };
    }
    const steps = scheduler.timesteps.length;
    const first = Math.max(steps - Math.min(Math.floor(steps * plan.strength), steps), 0);
    const clean = (await this.encode(plan.images, noise())).data as Float32Array;
    const drawn = noise();
    const start = first < steps ? scheduler.addNoise(clean, drawn, first) : clean;
    if (!plan.masks) return { first, start };
    const [height, width] = plan.latentSize;
    const masks = plan.masks.map((mask) => maskOf(mask, [width, height]));
    const plane = width * height;
    const each = plane * this.#facts.channels;
    const keep = (latents: Float32Array, step: number): Float32Array => {
      const kept = step < steps ? scheduler.addNoise(clean, drawn, step) : clean;
      return latents.map((value, i) => (masks[Math.floor(i / each)]![i % plane]! === 1 ? value : kept[i]!));
    };
    return { first, start, keep };
  }

  #timestep(t: number, rows: number): Tensor {
    const { type, dims = [] } = this.models['unet']!.inputs['timestep']!;
    const one = numberTensor(t, type, []);
    if (dims.length === 0) return one;
    const data = new (one.data.constructor as Float32ArrayConstructor)(rows).fill(one.data[0] as number);
    return { type: one.type, dims: [rows], data };
  }

  /** Frees the networks. */
  async release(): Promise<void> {
    await this.#sessions.release();
  }

  /** As {@link DiffusionPipeline.release}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

/** Where a run begins. */
interface Beginning {
  readonly first: number;
  readonly start: Float32Array;
  /** Puts back what a mask keeps. */
  readonly keep?: (latents: Float32Array, step: number) => Float32Array;
}

/** Classifier-free guidance: the first half is without the prompt. @see https://arxiv.org/abs/2207.12598 */
function guided(both: Float32Array, guidance: number): Float32Array {
  const half = both.length / 2;
  return new Float32Array(half).map((_, i) => both[i]! + guidance * (both[half + i]! - both[i]!));
}
