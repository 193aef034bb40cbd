/** @file The models that are served: a ViT, and a BERT of MiniLM's sizes, with random weights and adapters that are all different. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { buildPlugin } from '@onnx-lora/build';
import { openvinoPlugin } from '@onnx-lora/openvino';
import { Adapter, float32, type Model, openModel, type PrecisionName, type Tensor } from '@onnx-lora/sdk';
import { writeOnnx } from '@onnx-lora/sdk/plugin';
import { writeSafetensors, Random } from '@onnx-lora/sdk/data';
import { randomAdapter } from '@onnx-lora/testing';
import { vitModel } from '../../fixtures/vit.ts';
import type { Sizes } from '../settings.ts';
import type { Asked } from './requests.ts';

/** A served model and its requests. */
export interface Subject {
  readonly name: string;
  /** Description for people. */
  readonly title: string;
  readonly asked: Asked;
  /** Rank of its adapters. */
  readonly r: number;
  /** The model's config, with its name in transformers. */
  readonly config: Readonly<Record<string, unknown>> & { readonly model_type: string };
  /** Writes the model into a folder and opens it; with OpenVINO's provider for bfloat16. */
  readonly open: (folder: string, precision?: PrecisionName) => Promise<Model>;
}

/** A ViT that is asked about images. */
export function images(sizes: Sizes): Subject {
  const { hidden, layers, heads, image, patch, classes, r } = sizes;
  return {
    name: 'images',
    title: `ViT, ${hidden} wide, ${layers} layers, images of ${image}²`,
    asked: { kind: 'images', image },
    r,
    config: {
      model_type: 'vit',
      hidden_size: hidden,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      intermediate_size: 4 * hidden,
      image_size: image,
      patch_size: patch,
      num_labels: classes,
    },
    open: async (folder, precision = 'float32') => {
      writeOnnx(path.join(folder, 'vit.onnx'), vitModel(sizes));
      return openModel(path.join(folder, 'vit.onnx'), { precision, plugins: [openvinoPlugin] });
    },
  };
}

/** A BERT with requests of short texts, like search queries. */
export function texts(
  { hidden, layers, heads, r }: Pick<Sizes, 'hidden' | 'layers' | 'heads' | 'r'>,
  lengths: readonly [number, number] = [6, 10],
): Subject {
  const vocabulary = 30_522;
  const config = {
    model_type: 'bert',
    architectures: ['BertForSequenceClassification'],
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: 4 * hidden,
    max_position_embeddings: 512,
    type_vocab_size: 2,
    vocab_size: vocabulary,
    id2label: Object.fromEntries(Array.from({ length: 10 }, (_, i) => [i, `LABEL_${i}`])),
  };
  return {
    name: 'texts',
    title: `BERT, ${hidden} wide, ${layers} layers, texts of ${lengths.join(' to ')} tokens`,
    asked: { kind: 'texts', vocabulary, lengths },
    r,
    config,
    open: async (folder, precision = 'float32') => {
      await mkdir(path.join(folder, 'bert'));
      await writeFile(path.join(folder, 'bert/config.json'), JSON.stringify(config));
      await writeSafetensors(path.join(folder, 'bert/model.safetensors'), bertWeights(config));
      return openModel(path.join(folder, 'bert'), { plugins: [buildPlugin, openvinoPlugin], precision });
    },
  };
}

function bertWeights(config: {
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly intermediate_size: number;
  readonly max_position_embeddings: number;
  readonly type_vocab_size: number;
  readonly vocab_size: number;
  readonly id2label: object;
}): Map<string, Tensor> {
  const { hidden_size: hidden, intermediate_size: inner } = config;
  const random = new Random(1);
  const all = new Map<string, Tensor>();
  const add = (name: string, dims: readonly number[]): void => {
    const count = dims.reduce((product, dim) => product * dim, 1);
    all.set(
      name,
      float32(
        Float32Array.from({ length: count }, () => random.uniform(-0.05, 0.05)),
        dims,
      ),
    );
  };
  const linear = (name: string, from: number, to: number): void => {
    add(`${name}.weight`, [to, from]);
    add(`${name}.bias`, [to]);
  };
  const norm = (name: string): void => {
    add(`${name}.weight`, [hidden]);
    add(`${name}.bias`, [hidden]);
  };
  const tables = {
    word: config.vocab_size,
    position: config.max_position_embeddings,
    token_type: config.type_vocab_size,
  };
  for (const [name, rows] of Object.entries(tables)) add(`bert.embeddings.${name}_embeddings.weight`, [rows, hidden]);
  norm('bert.embeddings.LayerNorm');
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `bert.encoder.layer.${i}`;
    for (const each of ['query', 'key', 'value']) linear(`${layer}.attention.self.${each}`, hidden, hidden);
    linear(`${layer}.attention.output.dense`, hidden, hidden);
    norm(`${layer}.attention.output.LayerNorm`);
    linear(`${layer}.intermediate.dense`, hidden, inner);
    linear(`${layer}.output.dense`, inner, hidden);
    norm(`${layer}.output.LayerNorm`);
  }
  linear('bert.pooler.dense', hidden, hidden);
  linear('classifier', hidden, Object.keys(config.id2label).length);
  return all;
}

/** Writes adapters for queries and values as `a0`, `a1` …, that are all different; the first of them is returned. */
export async function writeAdapters(model: Model, r: number, folder: string, count: number): Promise<Adapter> {
  const drawn = await randomAdapter(model, { lora: { r, targetModules: ['query', 'value'] } });
  const random = new Random(1);
  const largest = Math.max(...[...drawn.tensors.values()].map(({ data }) => data.length));
  const pool = Float32Array.from({ length: 2 * largest }, () => random.uniform(-0.02, 0.02));
  const other = (): Adapter =>
    new Adapter(
      drawn.config,
      new Map(
        [...drawn.tensors].map(([name, { data, dims }]) => {
          const start = Math.floor(random.uniform(0, largest));
          return [name, float32(pool.slice(start, start + data.length), dims)];
        }),
      ),
      drawn.baseDigest,
    );
  const first = other();
  for (let i = 0; i < count; i++) await (i === 0 ? first : other()).save(path.join(folder, `a${i}`));
  return first;
}
