/** @file The task `text-to-image`: a denoiser learns the pictures of a folder by their captions. */

import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { OnnxLoraError, type Feeds, type Tensor, tensor } from '@onnx-lora/sdk';
import { decodeText, drawSeed, nameOfRecord, Random, readJsonObject } from '@onnx-lora/sdk/data';
import { numberTensor, settingsOf, type TaskFactory } from '@onnx-lora/sdk/plugin';
import { checkedTask, type PreparedTask, type Task, type TaskModel } from '@onnx-lora/sdk/tasks';
import {
  dataSettings,
  type ImageDataOptions,
  type ImageRecord,
  type ImageSource,
  readImageData,
} from '@onnx-lora/vision';
import { openClipTokenizer } from '../pipeline/clipTokenizer.ts';
import { promptFeeds } from '../pipeline/promptFeeds.ts';
import { targetOf } from '../schedulers/prediction.ts';
import { cumulativeAlphas, Fields, type SchedulerConfig } from '../schedulers/schedule.ts';
import { encodeMoments, type Moments } from './latents.ts';

/** Options of {@link textToImage}. */
export interface TextToImageOptions extends ImageDataOptions {
  /** Side of the square that pictures are cut to, in pixels; the model's by default. */
  readonly resolution?: number | undefined;
  /** Caption of pictures without one, such as `a photo of sks dog`; by default such a picture is an error. */
  readonly caption?: string | undefined;
  /** Share of captions left out, so that guidance has a base; 0 by default. */
  readonly dropCaptions?: number | undefined;
  /** Weighs timesteps by min(SNR, this) / SNR; 5 is usual, by default all count alike. */
  readonly minSnr?: number | undefined;
  /** Noise of whole channels, in shares of the noise, so that dark and light pictures are learned; 0 by default. */
  readonly noiseOffset?: number | undefined;
  /** Seed of noise and timesteps; 0 by default. */
  readonly seed?: number;
}

const settings = settingsOf<Omit<TextToImageOptions, keyof ImageDataOptions | 'seed'> & ImageDataOptions>({
  resolution: { kind: 'number', whole: true, min: 8, max: 4096, unit: 'pixels', description: "Side of the square that pictures are cut to; the model's by default." }, // prettier-ignore
  caption: { kind: 'text', description: 'Caption of pictures without one, as "a photo of sks dog".' },
  dropCaptions: { kind: 'number', min: 0, max: 1, description: 'Share of captions left out, for guidance; 0 by default.' }, // prettier-ignore
  minSnr: { kind: 'number', above: 0, description: 'Weighs timesteps by min(SNR, this) / SNR; 5 is usual.' },
  noiseOffset: { kind: 'number', min: 0, max: 1, description: 'Noise of whole channels, in shares; 0 by default.' },
  ...dataSettings,
});

/** An example: a picture's latents, the noise to add, and its caption. */
export interface DiffusionExample {
  /** Clean latents, scaled, flat. */
  readonly clean: Float32Array;
  /** Noise of the same size. */
  readonly noise: Float32Array;
  /** The timestep. */
  readonly timestep: number;
  /** Token ids of the caption. */
  readonly ids: readonly number[];
}

/**
 * Training on pictures with captions, by the loss of diffusion. The model is that of a pipeline's folder: text encoder
 * and UNet as one. Captions are a column `text` of a manifest (`metadata.jsonl`), or `.txt` files beside the pictures.
 * @example
 * const model = await openModel('models/stable-diffusion', { plugins: [diffusionPlugin] });
 * const run = await train(model, { task: textToImage('sketches', { minSnr: 5 }), lora: { r: 8 }, steps: 500 });
 * @see https://arxiv.org/abs/2303.09556 for min-SNR
 */
export function textToImage(
  data: ImageSource,
  options: TextToImageOptions = {},
): Task<DiffusionExample, { readonly loss: number }> {
  const { seed: _seed, ...checked } = options;
  return checkedTask(settings, checked, { name: 'text-to-image', prepare: (model) => prepare(model, data, options) });
}

/** The task for the command line. */
export const textToImageTask: TaskFactory = {
  name: 'text-to-image',
  description: 'Pictures with captions, for Stable Diffusion: a folder of pictures, with .txt files or metadata.jsonl.',
  settings,
  defaults: { batchSize: 1, lr: 1e-4 },
  create: ({ data, validation, holdOut, seed, settings: given }) =>
    textToImage(data, { ...settings.read(given), validation, holdOut, seed } as TextToImageOptions),
};

const MOST_BYTES = 1 << 20;

async function prepare(
  model: TaskModel,
  source: ImageSource,
  options: TextToImageOptions,
): Promise<PreparedTask<DiffusionExample, { readonly loss: number }>> {
  const folder = requireFolder(model);
  const { seed = 0, dropCaptions = 0, minSnr, noiseOffset = 0, resolution } = options;
  const config = await jsonIn(folder, 'scheduler/scheduler_config.json');
  const [unet, vae] = [await jsonIn(folder, 'unet/config.json'), await jsonIn(folder, 'vae_encoder/config.json')];
  const fields = new Fields(config as SchedulerConfig);
  const [alphas, target] = [cumulativeAlphas(fields), targetOf(fields)];
  const tokenizer = await openClipTokenizer(path.join(folder, 'tokenizer'));
  const sizes = sizesOf(unet, vae, resolution);
  const data = await readImageData(source, options);
  const captioned = (records: readonly ImageRecord[]): Promise<Captioned[]> =>
    Promise.all(records.map(async (record) => ({ record, ids: tokenizer.encode(await captionOf(record, options)) })));
  const [train, held] = [await captioned(data.train), data.validation && (await captioned(data.validation))];
  const empty = tokenizer.encode('');
  const records = [...train, ...(held ?? [])].map(({ record }) => record);
  let encoding: Promise<ReadonlyMap<ImageRecord, Moments>> | undefined;
  const moments = (): Promise<ReadonlyMap<ImageRecord, Moments>> =>
    (encoding ??= encodeMoments(folder, records, sizes.pixels).then((all) => new Map(records.map((record, i) => [record, all[i]!])))); // prettier-ignore
  const dataset = (examples: readonly Captioned[]): PreparedTask<DiffusionExample>['train'] => ({
    length: examples.length,
    nameOf: (index) => nameOfRecord(examples[index]!.record),
    get: async (index, draw) => {
      const { record, ids } = examples[index]!;
      const random = new Random(draw === undefined ? drawSeed(seed ^ 0x5bd1e995, index) : drawSeed(seed, draw));
      // Without a draw, timesteps are spread evenly, so that evaluations compare.
      const place = draw === undefined ? (index + 0.5) / examples.length : random.next();
      const own = (await moments()).get(record)!;
      const clean = drawn(own, sizes, random);
      const offsets = Float32Array.from({ length: sizes.channels }, () => noiseOffset * random.normal());
      const noise = clean.map((_, i) => random.normal() + offsets[Math.floor(i / sizes.plane)]!);
      const isDropped = draw !== undefined && random.next() < dropCaptions;
      return { clean, noise, timestep: Math.floor(place * alphas.length), ids: isDropped ? empty : ids };
    },
  });
  const isScalar = (model.inputs['timestep']?.dims ?? []).length === 0;
  const perRow = (value: Float32Array, rows: number): Tensor => tensor('float32', value, [rows, sizes.channels, sizes.side, sizes.side]); // prettier-ignore
  return {
    train: dataset(train),
    ...(held && { validation: dataset(held) }),
    ...(data.warnings && { warnings: data.warnings }),
    begin: async () => {
      await moments();
    },
    collate: async (examples) => {
      const rows = examples.length;
      // A graph with one timestep for the batch takes the first example's.
      const times = examples.map(({ timestep }) => (isScalar ? examples[0]!.timestep : timestep));
      const each = sizes.channels * sizes.plane;
      const [noisy, wanted] = [new Float32Array(rows * each), new Float32Array(rows * each)];
      examples.forEach(({ clean, noise }, row) => {
        const alpha = alphas[times[row]!]!;
        const [signal, deviation] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
        clean.forEach((x, i) => {
          const [at, z] = [row * each + i, noise[i]!];
          noisy[at] = signal * x + deviation * z;
          wanted[at] = target === 'epsilon' ? z : target === 'sample' ? x : signal * z - deviation * x;
        });
      });
      const weights = times.map((t) => weightOf(alphas[t]!, target, minSnr));
      return {
        inputs: {
          ...promptFeeds(
            model.inputs,
            examples.map(({ ids }) => ids),
          ),
          sample: perRow(noisy, rows),
          timestep: timestepTensor(model, isScalar ? times.slice(0, 1) : times, isScalar),
        },
        targets: { wanted: perRow(wanted, rows), weights: tensor('float32', Float32Array.from(weights), [rows]) },
      };
    },
    loss: (g, { out_sample: output }, { wanted, weights }) => {
      const difference = g.Sub(output!, wanted!);
      const byRow = g.ReduceMean(g.Mul(difference, difference), [1, 2, 3], false);
      return g.ReduceMean(g.Mul(byRow, weights!), [0], false);
    },
    metrics: () => new MeanLoss(),
  };
}

/** A picture with its caption. */
interface Captioned {
  readonly record: ImageRecord;
  readonly ids: readonly number[];
}

/** The mean square of differences, without weights of timesteps. */
class MeanLoss {
  #sum = 0;
  #count = 0;

  update({ out_sample: output }: Readonly<Record<string, Tensor>>, { wanted }: Feeds): void {
    const [found, expected] = [output!.data as Float32Array, wanted!.data as Float32Array];
    expected.forEach((value, i) => (this.#sum += (found[i]! - value) ** 2));
    this.#count += expected.length;
  }

  result(): { readonly loss: number } {
    return { loss: this.#sum / this.#count };
  }
}

/** @see https://arxiv.org/abs/2303.09556 */
function weightOf(alpha: number, target: string, most: number | undefined): number {
  if (most === undefined) return 1;
  const snr = alpha / (1 - alpha);
  return target === 'epsilon' ? Math.min(snr, most) / snr : target === 'sample' ? Math.min(snr, most) : Math.min(snr, most) / (snr + 1); // prettier-ignore
}

interface Sizes {
  readonly channels: number;
  /** Latents per side. */
  readonly side: number;
  readonly plane: number;
  /** Pixels per side. */
  readonly pixels: number;
  readonly scaling: number;
  readonly shift: number;
}

function sizesOf(unet: JsonObject, vae: JsonObject, resolution: number | undefined): Sizes {
  const number = (json: JsonObject, key: string, usual: number): number => {
    const value = json[key] ?? usual;
    if (typeof value === 'number' && value >= 0 && value <= 65_536) return value;
    throw new OnnxLoraError('CONFIG_INVALID', `A config of the pipeline has ${key} ${JSON.stringify(value)}, and needs a number. Export it again.`); // prettier-ignore
  };
  const blocks = (json: JsonObject): number => {
    const list = json['block_out_channels'];
    return Array.isArray(list) && list.length > 0 && list.length < 10 ? list.length : 4;
  };
  const factor = 2 ** (blocks(vae) - 1);
  const multiple = factor * 2 ** (blocks(unet) - 1);
  const pixels = resolution ?? number(unet, 'sample_size', 64) * factor;
  if (pixels % multiple !== 0)
    throw new OnnxLoraError('CONFIG_INVALID', `The setting "resolution" is ${pixels}, and must be a multiple of ${multiple} for this model.`); // prettier-ignore
  const side = pixels / factor;
  return {
    channels: number(unet, 'in_channels', 4),
    side,
    plane: side * side,
    pixels,
    scaling: number(vae, 'scaling_factor', 0.18215),
    shift: number(vae, 'shift_factor', 0),
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Latents drawn around their means. */
function drawn(moments: Moments, { channels, plane, scaling, shift }: Sizes, random: Random): Float32Array {
  const size = channels * plane;
  const hasVariance = moments.length === 2 * size;
  return Float32Array.from({ length: size }, (_, i) => {
    const spread = hasVariance ? Math.exp(Math.min(Math.max(moments[size + i]!, -30), 20) / 2) * random.normal() : 0;
    return (moments[i]! + spread - shift) * scaling;
  });
}

/** The column `text`, or the file beside the picture. */
async function captionOf({ text, file, place }: ImageRecord, { caption }: TextToImageOptions): Promise<string> {
  if (text !== undefined && text.trim() !== '') return text;
  const beside = `${file.slice(0, -path.extname(file).length)}.txt`;
  const found = await stat(beside).catch(() => undefined);
  if (found?.isFile() && found.size <= MOST_BYTES)
    return decodeText(await readFile(beside), `"${beside}"`, 'DATA_INVALID').trim();
  if (caption !== undefined) return caption;
  throw new OnnxLoraError(
    'DATA_INVALID',
    `${place}: the picture has no caption. Write it to "${beside}", give a column "text" in a metadata.jsonl, or one caption for all pictures (caption, --set caption=…).`,
  );
}

function requireFolder({ folder, name, inputs }: TaskModel): string {
  if (folder !== undefined && inputs['input_ids'] && inputs['sample'] && inputs['timestep']) return folder;
  throw new OnnxLoraError(
    'MODEL_UNSUPPORTED',
    `"${name}" is not the folder of a pipeline of Stable Diffusion, whose text encoder and UNet learn from captions. Name the folder with model_index.json, as Optimum exports it.`,
  );
}

async function jsonIn(folder: string, name: string): Promise<JsonObject> {
  const file = path.join(folder, name);
  const json = await readJsonObject(file, MOST_BYTES, 'a pipeline');
  if (json) return json;
  throw new OnnxLoraError('FILE_NOT_FOUND', `There is no "${file}", which training needs. Export the pipeline with all its parts.`); // prettier-ignore
}

function timestepTensor({ inputs }: TaskModel, times: readonly number[], isScalar: boolean): Tensor {
  const { type } = inputs['timestep']!;
  const all = times.map((t) => numberTensor(t, type, []));
  if (isScalar) return all[0]!;
  const data = new (all[0]!.data.constructor as Float32ArrayConstructor)(times.length);
  all.forEach((each, i) => data.set(each.data as Float32Array, i));
  return { type: all[0]!.type, dims: [times.length], data };
}
