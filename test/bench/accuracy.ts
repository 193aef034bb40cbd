/** @file Accuracy of adapters and new heads on real images, here and with PEFT on torch: the same data, steps and settings. */

import { evaluate, type Model, openModel, type Tensor, tensor, train } from '@onnx-lora/sdk';
import { writeSafetensors } from '@onnx-lora/sdk/data';
import { inNaming, readTensor } from '@onnx-lora/sdk/plugin';
import { type ImageData, imageClassification, readImageData, visionFamilies } from '@onnx-lora/vision';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { lastJson } from './spawn.ts';
import { median } from './statistics.ts';

/** The quickstart's digits, by the path of the built module. */
export const digitsOfExamples: string = new URL('../../../docs/examples/dist/support/digits.js', import.meta.url).href;
/** Exports of that module. */
export interface Digits {
  readonly readDigits: () => Promise<object[]>;
  readonly writeDigits: (folder: string, digits: readonly object[], shift: 'turned' | 'inverted') => Promise<void>;
}

interface AccuracyCase {
  readonly name: string;
  readonly data: 'rotated digits' | 'stamps';
  readonly targets: 'q,v' | 'all-linear';
  /** Whether the head starts over, though the labels may be the model's. */
  readonly newHead: boolean;
}

const cases: readonly AccuracyCase[] = [
  { name: 'rotated digits, q and v', data: 'rotated digits', targets: 'q,v', newHead: false },
  { name: 'rotated digits, all linear', data: 'rotated digits', targets: 'all-linear', newHead: false },
  { name: 'rotated digits, q and v, new head', data: 'rotated digits', targets: 'q,v', newHead: true },
  { name: 'stamps, q and v, new head of 17', data: 'stamps', targets: 'q,v', newHead: true },
  { name: 'stamps, all linear, new head of 17', data: 'stamps', targets: 'all-linear', newHead: true },
];

const settings = { steps: 200, batch: 32, lr: 5e-3, r: 8, alpha: 16 } as const;
const seeds = [0, 1, 2] as const;
/** The small ViT, and the stamps where they are there. The program runs from a folder three levels below the project's. */
const project = fileURLToPath(new URL('../../../', import.meta.url));
export const vit: string = path.join(project, 'docs/examples/models/vit-mnist');
const stamps = path.join(project, '../shared/data/stamps');

/**
 * Trains each case with several seeds on both sides, one thread each, and prints accuracies on held-out data, also that of our
 * adapter loaded by PEFT.
 */
export async function compareAccuracy(python: string, script: string, print: (line: string) => void): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onnx-lora-accuracy-'));
  try {
    const model = await openModel(vit, { families: visionFamilies });
    const checkpoint = path.join(folder, 'torch');
    await writeCheckpoint(model, checkpoint);
    const digits = path.join(folder, 'digits');
    const { readDigits, writeDigits } = (await import(digitsOfExamples)) as Digits;
    const all = await readDigits();
    await writeDigits(path.join(digits, 'train'), all.slice(0, 2000), 'turned');
    await writeDigits(path.join(digits, 'test'), all.slice(8000), 'turned');
    print('| case | onnx-lora | PEFT | ours, loaded by PEFT | CPU s | PEFT CPU s |');
    print('| --- | --- | --- | --- | --- | --- |');
    for (const each of cases) {
      if (each.data === 'stamps' && !existsSync(stamps)) continue;
      const data =
        each.data === 'stamps'
          ? await readImageData(path.join(stamps, 'manifest.csv'), { columns: { label: 'category' } })
          : await readImageData(digits);
      const found: { ours: number; theirs: number; loaded: number; seconds: number; torchSeconds: number }[] = [];
      for (const seed of seeds)
        found.push(await compare(each, seed, { model, data, checkpoint, folder, python, script }));
      const all = (name: keyof (typeof found)[number]): string =>
        found.map((one) => (100 * one[name]).toFixed(1)).join(' ');
      const seconds = (name: 'seconds' | 'torchSeconds'): string => median(found.map((one) => one[name])).toFixed(1);
      print(
        `| ${each.name} | ${all('ours')} | ${all('theirs')} | ${all('loaded')} | ${seconds('seconds')} | ${seconds('torchSeconds')} |`,
      );
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface Work {
  readonly model: Model;
  readonly data: ImageData;
  /** The model as transformers loads it. */
  readonly checkpoint: string;
  readonly folder: string;
  readonly python: string;
  readonly script: string;
}

async function compare(
  { targets, newHead }: AccuracyCase,
  seed: number,
  { model, data, checkpoint, folder, python, script }: Work,
): Promise<{ ours: number; theirs: number; loaded: number; seconds: number; torchSeconds: number }> {
  const held = data.test ?? data.validation!;
  const task = imageClassification({ ...data, validation: held }, { head: newHead ? 'new' : 'auto' });
  const before = process.cpuUsage();
  const run = await train(model, {
    task,
    lora: { r: settings.r, loraAlpha: settings.alpha, targetModules: targets === 'q,v' ? ['query', 'value'] : targets },
    steps: settings.steps,
    batchSize: settings.batch,
    lr: settings.lr,
    seed,
    threads: 1,
  });
  const { adapter } = await run.done;
  const used = process.cpuUsage(before);
  const { metrics } = await evaluate(model, { task, adapter, threads: 1 });
  const saved = path.join(folder, 'adapter');
  await rm(saved, { recursive: true, force: true });
  await inNaming(adapter, 5, model).save(saved);
  const labels = [...new Set(data.train.map(({ label }) => label!))].sort();
  const listed = (records: ImageData['train']): [string, number][] =>
    records.map(({ file, label }) => [file, labels.indexOf(label!)]);
  const order = path.join(folder, 'order.json');
  await writeFile(
    order,
    JSON.stringify({
      ...settings,
      seed,
      model: checkpoint,
      train: listed(data.train),
      test: listed(held),
      classes: labels.length,
      newHead,
      targets: targets === 'q,v' ? ['q_proj', 'v_proj'] : targets,
      adapter: saved,
    }),
  );
  const torch = (await lastJson(python, [script, order])) as {
    accuracy: number;
    cpuSeconds: number;
    adapterAccuracy: number;
  };
  return {
    ours: metrics['accuracy']!,
    theirs: torch.accuracy,
    loaded: torch.adapterAccuracy,
    seconds: (used.user + used.system) / 1e6,
    torchSeconds: torch.cpuSeconds,
  };
}

/** Writes `config.json`, `preprocessor_config.json` and `model.safetensors` with torch's names, from the graph's weights. */
async function writeCheckpoint(model: Model, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of ['config.json', 'preprocessor_config.json'])
    await copyFile(path.join(vit, name), path.join(folder, name));
  const tensors = new Map<string, Tensor>();
  for (const proto of model.onnx.model.graph.initializer ?? []) {
    const { name = '' } = proto;
    if (name.startsWith('vit.') || name.startsWith('classifier.')) tensors.set(name, readTensor(proto));
  }
  for (const { path: module, weight, bias, weightShape } of model.sites()) {
    const values = weight.stored.read();
    const [out, width] = weightShape as [number, number];
    const isTurned = weight.layout === 'in-out';
    const data = isTurned ? values.map((_, i) => values[(i % width) * out + Math.floor(i / width)]!) : values;
    tensors.set(`${module}.weight`, tensor('float32', data, weightShape));
    if (bias) tensors.set(`${module}.bias`, tensor('float32', bias.stored.read(), [out]));
  }
  await writeSafetensors(path.join(folder, 'model.safetensors'), tensors, { format: 'pt' });
}
