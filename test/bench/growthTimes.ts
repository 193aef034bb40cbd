/** @file Start of a model with many layers: what opening, a session, a first training step and a merge take. */

import { float32, loadAdapter, merge, type Model, openModel, type Tensor } from '@onnx-lora/sdk';
import { crossEntropy } from '@onnx-lora/sdk/tasks';
import { ParameterSet, planAdapter, Trainer } from '@onnx-lora/sdk/core';
import { Random, writeSafetensors } from '@onnx-lora/sdk/data';
import { buildPlugin } from '@onnx-lora/build';
import { randomAdapter } from '@onnx-lora/testing';
import { textPlugin } from '@onnx-lora/text';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { numbers, text } from './training.ts';

const SIZES = { hidden: 64, inner: 128, heads: 4, vocabulary: 256 };
const LORA = { r: 8, loraAlpha: 16, targetModules: ['q_proj', 'v_proj'] };

/** Processor seconds of each part of a start with one thread, in a fresh process. */
export interface GrowthFigures {
  readonly open: number;
  readonly session: number;
  /** First training step: the graph is built, loaded and run. */
  readonly step: number;
  readonly merge: number;
}

/** Measures one checkpoint. Adapters and the merged model lie beside it. */
export async function growthOf(folder: string): Promise<GrowthFigures> {
  let model!: Model;
  const open = await seconds(async () => {
    model = await openModel(folder, { plugins: [buildPlugin, textPlugin] });
    model.modules();
  });
  const session = await seconds(async () => (await model.session({ provider: 'cpu', threads: 1 })).release());
  const random = new Random(1);
  const ids = numbers(random, [1, 8], 0, SIZES.vocabulary);
  const trainer = new Trainer({
    base: model.onnx.model,
    plan: planAdapter(model, LORA).plan,
    loss: (g, { logits }, { labels }) => crossEntropy(g, logits!, labels!),
    runtime: model.runtime,
    session: { provider: 'cpu', threads: 1 },
    parameters: (all) => ParameterSet.initial(all, random),
    name: 'decoder',
  });
  const step = await seconds(() => trainer.step(text(ids), { labels: ids }, 1e-4));
  await trainer.release();
  await (await randomAdapter(model, { lora: LORA })).save(`${folder}-adapter`);
  const adapter = await loadAdapter(`${folder}-adapter`);
  return { open, session, step, merge: await seconds(() => merge(model, adapter, `${folder}-merged`)) };
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** Writes the checkpoint of a narrow decoder. */
export async function writeDecoder(folder: string, layers: number): Promise<void> {
  const { hidden, inner, heads, vocabulary } = SIZES;
  await mkdir(folder);
  const config = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: hidden,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    num_hidden_layers: layers,
    vocab_size: vocabulary,
    tie_word_embeddings: true,
  };
  await writeFile(path.join(folder, 'config.json'), JSON.stringify(config));
  const random = new Random(1);
  const drawn = (...dims: readonly number[]): Tensor =>
    float32(
      Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => random.uniform(-0.05, 0.05)),
      dims,
    );
  const weights = new Map([
    ['model.embed_tokens.weight', drawn(vocabulary, hidden)],
    ['model.norm.weight', drawn(hidden)],
  ]);
  for (let i = 0; i < layers; i++) {
    const own = {
      ...Object.fromEntries(['q', 'k', 'v', 'o'].map((each) => [`self_attn.${each}_proj`, drawn(hidden, hidden)])),
      'mlp.gate_proj': drawn(inner, hidden),
      'mlp.up_proj': drawn(inner, hidden),
      'mlp.down_proj': drawn(hidden, inner),
      input_layernorm: drawn(hidden),
      post_attention_layernorm: drawn(hidden),
    };
    for (const [name, tensor] of Object.entries(own)) weights.set(`model.layers.${i}.${name}.weight`, tensor);
  }
  await writeSafetensors(path.join(folder, 'model.safetensors'), weights);
}
