/**
 * @file An adapter has learned turned digits, and one class of them is withdrawn: what each way to unlearn makes of it, beside
 * an adapter that has never seen the class. `node dist/unlearning.js [SEED]…` tries all ways, with another class for each seed.
 */

import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, combineAdapters, merge, type Model, openModel, train, type TrainOptions } from '@onnx-lora/sdk';
import { measureUnlearning, methodsPlugin, unlearning, type UnlearningOptions } from '@onnx-lora/methods';
import { imageClassification, type ImageRecord, readImageData, visionFamilies } from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

const models = fileURLToPath(new URL('../models/vit-mnist', import.meta.url));
const plugins = { families: visionFamilies, plugins: [methodsPlugin] };
const lora = { r: 16, loraAlpha: 32, targetModules: 'all-linear' } as const;
// The base was trained on none of these.
const digits = (await readDigits()).slice(8000);

const seeds = process.argv.slice(2).map(Number);
const found: Record<string, number[][]> = {};
for (const seed of seeds.length > 0 ? seeds : [1]) await withdraw(seed, seeds.length > 0);
console.table(Object.fromEntries(Object.entries(found).map(([way, rows]) => [way, summary(rows)])));

async function withdraw(seed: number, tryAll: boolean): Promise<void> {
  const folder = `runs/unlearning/${seed}`;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const order = [...digits.slice(300 * seed), ...digits.slice(0, 300 * seed)];
  await writeDigits(path.join(folder, 'train'), order.slice(0, 1000), 'turned');
  await writeDigits(path.join(folder, 'test'), order.slice(1000), 'turned');
  const withdrawn = String(seed % 10);
  const { root, train: known, validation: unknown = [] } = await readImageData(folder);
  const of = (records: readonly ImageRecord[]): ImageRecord[] => records.filter(({ label }) => label === withdrawn);
  const others = (records: readonly ImageRecord[]): ImageRecord[] => records.filter(({ label }) => label !== withdrawn);

  const model = await openModel(models, plugins);
  const trained = async (on: Model, options: TrainOptions): Promise<Adapter> => (await (await train(on, { seed, ...options })).done).adapter; // prettier-ignore
  const learning = { lora, steps: 400, lr: 3e-3, schedule: 'cosine' } as const;
  const forget = imageClassification({ root, train: of(known) });
  const retain = imageClassification({ root, train: others(known), validation: others(unknown) });
  const unseen = imageClassification({ root, train: of(unknown) });
  const all = imageClassification({ root, train: known });
  const learned = await trained(model, { ...learning, task: all });
  const reference = { model, adapter: learned };
  const unlearned = (options: Omit<UnlearningOptions, 'forget' | 'retain'>): Promise<Adapter> =>
    trained(model, { task: unlearning({ forget, retain, ...options }), from: learned, steps: 200, batchSize: 16, lr: 1e-3 }); // prettier-ignore
  // Data that training again keeps, which comes first.
  let again: number | undefined;
  const note = async (way: string, adapter: Adapter, on = model): Promise<void> => {
    const scores = await measureUnlearning(on, { forget, retain, unseen, adapter });
    const [lost, new_, kept] = [scores.forget, scores.unseen, scores.retain].map(({ metrics }) => 100 * metrics['accuracy']!) as [number, number, number]; // prettier-ignore
    const { auc, interval } = scores.membership;
    again ??= kept;
    (found[way] ??= []).push([lost, new_, kept, kept - again, auc]);
    console.log(`seed ${seed}, ${way}: forgotten ${lost.toFixed(1)}%, unseen ${new_.toFixed(1)}%, kept ${kept.toFixed(1)}%, AUC ${auc.toFixed(2)} [${interval.map((end) => end.toFixed(2)).join(', ')}]`); // prettier-ignore
  };
  await note('trained again', await trained(model, { ...learning, task: retain }));
  await note('before', learned);
  await note('bounded', await unlearned({ bound: Math.log(10) }));
  if (!tryAll) return;
  await note('npo', await unlearned({ method: 'npo', beta: 1, reference }));
  await note('kl', await unlearned({ method: 'kl', weight: 0.1, reference }));
  await note('difference', await unlearned({ method: 'difference', weight: 0.1 }));
  await note('ascent', await unlearned({ method: 'ascent' }));
  // #region negation
  const withdrawnAlone = await trained(model, { task: forget, lora, steps: 60, lr: 1e-3 });
  const negated = combineAdapters([{ adapter: learned }, { adapter: withdrawnAlone, weight: -1 }], { method: 'linear' }); // prettier-ignore
  // #endregion negation
  await note('negation', negated);
  // #region gs-lora
  await merge(model, learned, path.join(folder, 'merged'));
  const base = await openModel(path.join(folder, 'merged'), plugins);
  const groups = { tuner: { name: 'gs-lora', r: 16, lora_alpha: 32, group_lasso: 1e-3 }, targetModules: 'all-linear' } as const; // prettier-ignore
  const inGroups = await trained(base, { task: unlearning({ forget, retain, bound: Math.log(10) }), lora: groups, steps: 200, batchSize: 16, lr: 1e-3 }); // prettier-ignore
  // #endregion gs-lora
  await note('gs-lora', inGroups, base);
}

/** Means, with half of the interval that holds them with a probability of 95% by Student's t, where there are several seeds. */
function summary(rows: readonly number[][]): Record<string, string> {
  const names = ['forgotten', 'unseen', 'kept', 'to training again', 'AUC'];
  return Object.fromEntries(
    names.map((name, i) => {
      const values = rows.map((row) => row[i]!);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
      const t = [NaN, 12.71, 4.303, 3.182, 2.776][values.length - 1]!;
      const digitsShown = name === 'AUC' ? 2 : 1;
      const half = values.length > 1 ? ` ± ${((t * spread) / Math.sqrt(values.length)).toFixed(digitsShown)}` : '';
      return [name, `${mean.toFixed(digitsShown)}${half}`];
    }),
  );
}
