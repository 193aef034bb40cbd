/**
 * @file From a published model to two adapters in a minute: a small ViT that reads upright digits learns to read turned
 * and inverted ones.
 */

import { mkdir, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Adapter, evaluate, merge, openModel, type Tensor, train } from '@onnx-lora/sdk';
import type { StepEvent } from '@onnx-lora/sdk/plugin';
import { imageClassification, imageClassifier, visionFamilies } from '@onnx-lora/vision';
import { readDigits, writeDigits } from './support/digits.ts';

const examples = fileURLToPath(new URL('..', import.meta.url));
const out = path.resolve('quickstart');
const began = performance.now();

// 1. Real images on disk, as a user has them: a folder per class.
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const digits = await readDigits();
const shifts = ['turned', 'inverted'] as const;
for (const shift of shifts) {
  await writeDigits(path.join(out, 'images', shift, 'train'), digits.slice(0, 2000), shift);
  await writeDigits(path.join(out, 'images', shift, 'test'), digits.slice(8000), shift);
}

// 2. The model, opened from a folder laid out like a published repository.
const model = await openModel(path.join(examples, 'models/vit-mnist'), { families: visionFamilies });
const linear = model.modules().filter(({ kind }) => kind === 'linear');
console.log(
  `${path.basename(model.name)}: ${model.family?.name} with ${model.parameterCount.toLocaleString('en')} parameters, ${linear.length} linear layers, such as ${linear[0]!.path}\n`,
);

// 3. An adapter for each shift.
const adapters: Record<string, Adapter> = {};
const rows: Record<string, string>[] = [];
for (const shift of shifts) {
  const task = imageClassification(path.join(out, 'images', shift));
  const base = await evaluate(model, { task });
  const run = await train(model, {
    task,
    lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
    steps: 200,
    batchSize: 32,
    lr: 5e-3,
  });
  for await (const event of run) if (event.type === 'step') showProgress(shift, event);
  const { adapter, seconds } = await run.done;
  await adapter.save(path.join(out, 'adapters', shift));
  const adapted = await evaluate(model, { task, adapter });
  adapters[shift] = adapter;
  rows.push({
    adapter: shift,
    'base accuracy': percent(base.metrics['accuracy']!),
    'adapted accuracy': percent(adapted.metrics['accuracy']!),
    'test digits': String(adapted.examples),
    parameters: adapter.parameterCount.toLocaleString('en'),
    'size (KB)': (adapter.byteLength / 1024).toFixed(0),
    'training (s)': seconds.toFixed(1),
  });
}
printTable(rows);

// 4. One loaded base serves both, chosen per request, or per row of one batch.
const session = await model.session({ adapters });
const classifier = await imageClassifier(model);
const sevens = shifts.map((shift) => path.join(out, 'images', shift, 'test/7'));
const files = await Promise.all(sevens.map(async (folder) => path.join(folder, (await readdir(folder)).sort()[0]!)));
const separate = [];
for (const [i, shift] of shifts.entries()) {
  const outputs = await session.run(await classifier.feeds([files[i]!]), { adapter: shift });
  console.log(
    `A 7, ${shift}, with the adapter "${shift}" is read as ${String(classifier.decode(outputs)[0]!['label'])}.`,
  );
  separate.push(...(outputs['logits']!.data as Float32Array));
}
const both = await session.run(await classifier.feeds(files), { adapter: [...shifts] });
console.log(`Both in one batch, an adapter per row: at most ${difference(both, separate)} from separate runs.`);
await session.release();

// 5. One plain .onnx file with the adapter folded in, which any runtime opens.
const merged = path.join(out, 'turned.onnx');
await merge(model, adapters['turned']!, merged);
const plain = await (await openModel(merged)).session();
const outputs = await plain.run(await classifier.feeds([files[0]!]));
await plain.release();
console.log(
  `Merged into ${relative(merged)}: at most ${difference(outputs, separate.slice(0, 10))} from the unmerged model.`,
);
console.log(`PEFT folders: ${shifts.map((shift) => relative(path.join(out, 'adapters', shift))).join(', ')}`);
console.log(`\nAll in ${((performance.now() - began) / 1000).toFixed(0)} s.`);

function showProgress(name: string, { step, steps, loss, samplesPerSecond, secondsLeft }: StepEvent): void {
  const line = `${name}: step ${step}/${steps}, loss ${loss.toFixed(3)}, ${samplesPerSecond.toFixed(0)} images/s, ${secondsLeft.toFixed(0)} s left`;
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}${step === steps ? '\n' : ''}`);
  else if (step % 50 === 0) console.log(line);
}

function printTable(table: readonly Readonly<Record<string, string>>[]): void {
  const columns = Object.keys(table[0]!);
  const widths = columns.map((column) => Math.max(column.length, ...table.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  console.log(`\n${line(columns)}`);
  for (const row of table) console.log(line(columns.map((column) => row[column]!)));
  console.log('');
}

/** The largest difference of the logits; more than 1e-4 ends the program. */
function difference({ logits }: Readonly<Record<string, Tensor>>, expected: readonly number[]): string {
  const largest = Math.max(...expected.map((value, i) => Math.abs(value - Number(logits!.data[i]))));
  if (!(largest <= 1e-4)) throw new Error(`Outputs differ by ${largest}.`);
  return largest.toExponential(1);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

function relative(file: string): string {
  return path.relative('.', file);
}
