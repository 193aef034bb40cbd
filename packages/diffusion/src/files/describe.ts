/** @file Says what a LoRA file is, from its keys and its trainer's notes, without a model. */

import { floats } from '@onnx-lora/sdk/plugin';
import { formOf, type RoleShapes } from './forms.ts';
import type { FileModule, LoraFile } from './loraFile.ts';
import { PEFT_METADATA } from './readAdapters.ts';

/** Facts about a LoRA file. */
export interface LoraFileDescription {
  /** The layout, after the program that writes it. */
  readonly layout: 'kohya' | 'diffusers' | 'diffusers with PEFT metadata' | 'diffusers before 0.23' | 'PEFT';
  /** The base model: `Stable Diffusion 1`, as the trainer noted or the shapes tell; undefined if neither says. */
  readonly base: string | undefined;
  /** Adapted modules by network, as the keys name it: `unet`, `text_encoder` … */
  readonly networks: Readonly<Record<string, number>>;
  /** Modules by form: `LoRA`, `DoRA`, `LoHa` … */
  readonly forms: Readonly<Record<string, number>>;
  /** Distinct ranks, in order. */
  readonly ranks: readonly number[];
  /** Distinct alphas, in order; empty for a file without. */
  readonly alphas: readonly number[];
  /** Types of its tensors. */
  readonly types: readonly string[];
  /** Number of values. */
  readonly parameters: number;
  /** Words that call the style: its author's phrase, the folders of pictures, the most frequent tags. */
  readonly triggerWords: readonly string[];
  /** Title, author and settings of training, by what they say. */
  readonly training: Readonly<Record<string, string>>;
}

/** Describes a LoRA file. */
export function describeLoraFile({ modules, metadata }: LoraFile): LoraFileDescription {
  const all = modules.flatMap(({ tensors }) => [...tensors.values()]);
  const ranks = modules.flatMap((module) => formOf(shapesOf(module))?.rank(shapesOf(module)) ?? []);
  const alphas = modules.flatMap(({ tensors }) => {
    const alpha = tensors.get('alpha');
    return alpha?.tensor.data.length === 1 ? [floats(alpha.tensor)[0]!] : [];
  });
  return {
    layout: layoutOf(modules, metadata),
    base: baseOf(modules, metadata),
    networks: counts(modules.map(({ name }) => networkOf(name))),
    forms: counts(modules.map(formNameOf)),
    ranks: ordered(ranks),
    alphas: ordered(alphas),
    types: [...new Set(all.map(({ tensor }) => tensor.type))],
    parameters: all.reduce((sum, { tensor }) => sum + tensor.data.length, 0),
    triggerWords: triggerWordsOf(metadata),
    training: trainingOf(metadata),
  };
}

function shapesOf({ tensors }: FileModule): RoleShapes {
  return Object.fromEntries([...tensors].map(([role, { tensor }]) => [role, tensor.dims]));
}

function formNameOf(module: FileModule): string {
  const { tensors } = module;
  const name = formOf(shapesOf(module))?.name ?? 'unknown';
  const isDora = tensors.has('dora_scale') || tensors.has('magnitude');
  const core = tensors.has('lora_mid') || tensors.has('hada_t1') || tensors.has('lokr_t2') ? ' with cores' : '';
  return `${name === 'LoRA' && isDora ? 'DoRA' : name}${name !== 'LoRA' && isDora ? ' with DoRA' : ''}${core}`;
}

/** Beginnings of names, the longest first. */
const networks: readonly (readonly [begin: RegExp, network: string])[] = [
  [/^lora_te2_|^text_encoder_2\./, 'text_encoder_2'],
  [/^lora_te3_|^text_encoder_3\./, 'text_encoder_3'],
  [/^lora_te1?_|^text_encoder\./, 'text_encoder'],
  [/^transformer\.|^lora_transformer_/, 'transformer'],
  [/(?:^|[._])(?:double_blocks|single_blocks|single_transformer_blocks)[._]/, 'transformer'],
  [/^lora_unet_|^unet\.|^lycoris_|^down_blocks\.|^up_blocks\.|^mid_block\.|diffusion_model\./, 'unet'],
];

function networkOf(name: string): string {
  return networks.find(([begin]) => begin.test(name))?.[1] ?? 'unknown';
}

function layoutOf(modules: readonly FileModule[], metadata: LoraFile['metadata']): LoraFileDescription['layout'] {
  const suffixes = new Set(modules.flatMap(({ tensors }) => [...tensors.values()].map(({ suffix }) => suffix)));
  if (modules.some(({ name }) => /^(?:lora_|lycoris_)/.test(name))) return 'kohya';
  if (metadata[PEFT_METADATA] !== undefined) return 'diffusers with PEFT metadata';
  if (modules.every(({ name }) => name.startsWith('base_model.model.'))) return 'PEFT';
  const old = ['.down.weight', '.lora.down.weight', '.lora_linear_layer.down.weight'];
  return old.some((suffix) => suffixes.has(suffix)) ? 'diffusers before 0.23' : 'diffusers';
}

/** Bases by the trainer's word for them. */
const notedBases: readonly (readonly [pattern: RegExp, base: string])[] = [
  [/flux/i, 'Flux'],
  [/sd3|stable-diffusion-3/i, 'Stable Diffusion 3'],
  [/sdxl|stable-diffusion-xl/i, 'Stable Diffusion XL'],
  [/sd_?v?2|stable-diffusion-v2/i, 'Stable Diffusion 2'],
  [/sd_?v?1|stable-diffusion-v1/i, 'Stable Diffusion 1'],
];

/** Bases by the width of the text that their UNet attends to. */
const widths: Readonly<Record<number, string>> = {
  768: 'Stable Diffusion 1',
  1024: 'Stable Diffusion 2',
  2048: 'Stable Diffusion XL',
};

function baseOf(modules: readonly FileModule[], metadata: LoraFile['metadata']): string | undefined {
  for (const key of ['ss_base_model_version', 'modelspec.architecture', 'modelspec_architecture']) {
    const found = notedBases.find(([pattern]) => pattern.test(metadata[key] ?? ''));
    if (found) return found[1];
  }
  if (modules.some(({ name }) => /double_blocks|single_transformer_blocks/.test(name))) return 'Flux';
  if (modules.some(({ name }) => /transformer_blocks[._]\d+[._]attn[._]add_q_proj|joint_blocks/.test(name))) return 'Stable Diffusion 3'; // prettier-ignore
  const text = modules.find(({ name, tensors }) => /attn2[._]to_k|attn2\.processor\.to_k/.test(name) && tensors.has('lora_down')); // prettier-ignore
  const width = text?.tensors.get('lora_down')?.tensor.dims[1];
  return width === undefined ? undefined : widths[width];
}

const MOST_WORDS = 12;

function triggerWordsOf(metadata: LoraFile['metadata']): string[] {
  const phrase = metadata['modelspec.trigger_phrase'] ?? metadata['modelspec_trigger_phrase'];
  const tags = new Map<string, number>();
  const byFolder = parsed(metadata['ss_tag_frequency']);
  for (const own of Object.values(byFolder))
    for (const [tag, count] of Object.entries(typeof own === 'object' && own !== null ? own : {}))
      if (typeof count === 'number') tags.set(tag.trim(), (tags.get(tag.trim()) ?? 0) + count);
  // kohya's folders are named `10_words`: repetitions, and the words.
  const folders = [...Object.keys(parsed(metadata['ss_dataset_dirs'])), ...Object.keys(byFolder)].flatMap((name) => {
    const words = /^\d+_(.+)$/.exec(name)?.[1];
    return words === undefined ? [] : [words];
  });
  const frequent = [...tags].toSorted(([, a], [, b]) => b - a).map(([tag]) => tag);
  return [...new Set([...(phrase ? [phrase] : []), ...folders, ...frequent])].slice(0, MOST_WORDS);
}

/** Notes of trainers, and what they say. */
const notes: Readonly<Record<string, string>> = {
  'modelspec.title': 'title',
  'modelspec.author': 'author',
  'modelspec.license': 'licence',
  'modelspec.date': 'date',
  ss_output_name: 'name',
  ss_sd_model_name: 'base file',
  ss_network_module: 'trainer',
  ss_network_dim: 'rank',
  ss_network_alpha: 'alpha',
  ss_network_args: 'arguments',
  ss_learning_rate: 'learning rate',
  ss_unet_lr: 'learning rate of the UNet',
  ss_text_encoder_lr: 'learning rate of the text encoder',
  ss_optimizer: 'optimizer',
  ss_num_epochs: 'epochs',
  ss_steps: 'steps',
  ss_num_train_images: 'pictures',
  ss_resolution: 'resolution',
  ss_clip_skip: 'clip skip',
  ss_training_comment: 'comment',
};

const LONGEST_NOTE = 500;

function trainingOf(metadata: LoraFile['metadata']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(notes).flatMap(([key, what]) => {
      const value = metadata[key] ?? metadata[key.replace('.', '_')];
      return value === undefined || value === '' || value === 'None' ? [] : [[what, value.slice(0, LONGEST_NOTE)]];
    }),
  );
}

/** A JSON object in a note; an empty one for anything else. */
function parsed(text: string | undefined): object {
  try {
    const json: unknown = JSON.parse(text ?? '{}');
    return typeof json === 'object' && json !== null ? json : {};
  } catch {
    return {};
  }
}

function counts(names: readonly string[]): Record<string, number> {
  const all = new Map<string, number>();
  for (const name of names) all.set(name, (all.get(name) ?? 0) + 1);
  return Object.fromEntries(all);
}

function ordered(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].toSorted((a, b) => a - b);
}
