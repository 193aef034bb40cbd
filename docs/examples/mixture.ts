/**
 * @file Four adapters for four kinds of digits, and two ways to answer all kinds without being told which: a mixture of them, and
 * an index that finds the adapter of each image.
 */

import path from 'node:path';
import { type Adapter, evaluate, openPredictor, type Tensor, train } from '@onnx-lora/sdk';
import { AdapterIndex, mixtureOf, limitedToBest } from '@onnx-lora/methods';
import { imageClassification, imageEmbeddings, readImageData } from '@onnx-lora/vision';
import { writeDigits } from './support/digits.ts';
import { type Kind, shiftedAdapters, shifts } from './support/shiftedAdapters.ts';

const folder = 'runs/mixture';
const { model, adapters, digits } = await shiftedAdapters(folder);
for (const [i, shift] of shifts.entries()) {
  // The router's training data: a little of each.
  await writeDigits(path.join(folder, 'all'), digits.slice(4000 + 1000 * i, 4000 + 1000 * (i + 1)), shift, 1000 * i);
}

// #region mixtures
const arrow = mixtureOf(adapters, { topK: 2 });
const from = mixtureOf(adapters, { router: 'xlora', hiddenSize: 96 });
const routing = await train(model, { task: imageClassification(path.join(folder, 'all')), from, steps: 600, lr: 1e-2 });
const mixture = limitedToBest((await routing.done).adapter);
// #endregion mixtures

// #region index
const embed = (files: readonly string[]): Promise<Tensor> => imageEmbeddings(model, files, { output: 'before-head' });
const examples: Record<string, Tensor> = {};
for (const shift of shifts) {
  const { train: images } = await readImageData(path.join(folder, shift));
  // A hundred of those that the adapter was trained on.
  examples[shift] = await embed(images.filter((_, i) => i % 10 === 0).map(({ file }) => file));
}
const index = AdapterIndex.of(examples);
await index.save(path.join(folder, 'index.safetensors'));
// #endregion index

const predictor = await openPredictor(model, { task: 'image-classification', adapters });
const table: Record<string, Record<string, string>> = {};
for (const shift of shifts) table[shift] = await accuracies(shift);
console.table(table);
await predictor.release();

async function accuracies(shift: Kind): Promise<Record<string, string>> {
  const task = imageClassification(path.join(folder, shift));
  const of = async (adapter?: Adapter): Promise<string> => {
    const { metrics } = await evaluate(model, { task, ...(adapter ? { adapter } : {}) });
    return percent(metrics['accuracy']!);
  };
  const { validation: images = [] } = await readImageData(path.join(folder, shift));
  const labels = await answers(images.map(({ file }) => file));
  return {
    base: await of(),
    own: await of(adapters[shift]),
    arrow: await of(arrow),
    mixture: await of(mixture),
    index: percent(images.filter(({ label }, i) => label === labels[i]).length / images.length),
  };
}

// #region answers
async function answers(files: readonly string[]): Promise<unknown[]> {
  const chosen = index.choose(await embed(files));
  const adapterOf = new Map<unknown, string>(files.map((file, i) => [file, chosen[i]!]));
  const labels: unknown[] = [];
  for await (const { prediction } of predictor.predict(files, { adapter: (file) => adapterOf.get(file)! }))
    labels.push(prediction['label']);
  return labels;
}
// #endregion answers

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}
