/** @file Where the operators of a small ViT run on WebGPU, which the reference of providers tells. */

import { fileURLToPath } from 'node:url';
import { float32, int64, openModel, train } from '@onnx-lora/sdk';
import { crossEntropy, type Task } from '@onnx-lora/sdk/tasks';
import type { ProviderReport } from '@onnx-lora/sdk/plugin';
import { visionFamilies } from '@onnx-lora/vision';

/** Rows of a batch. */
const BATCH = 8;

const pixels = float32(
  Array.from({ length: BATCH * 3 * 28 * 28 }, (_, i) => Math.sin(i)),
  [BATCH, 3, 28, 28],
);
const labels = int64(
  Array.from({ length: BATCH }, (_, i) => i),
  [BATCH],
);

/** Classes for eight images of noise. */
const noise: Task<number> = {
  name: 'noise',
  prepare: () =>
    Promise.resolve({
      train: { length: BATCH, get: (index) => Promise.resolve(index) },
      collate: () => Promise.resolve({ inputs: { pixel_values: pixels }, targets: { labels } }),
      loss: (g, outputs, targets) => crossEntropy(g, outputs['logits']!, targets['labels']!),
      metrics: () => ({ update: () => undefined, result: () => ({}) }),
    }),
};

/**
 * Runs the model of the quickstart, and training steps of it, under ONNX Runtime's profiler; a row of the table each.
 *
 * @throws OnnxLoraError `PROVIDER_UNAVAILABLE` where WebGPU finds no driver
 */
export async function placements(): Promise<string[]> {
  const folder = fileURLToPath(new URL('examples/models/vit-mnist', import.meta.url));
  const model = await openModel(folder, { families: visionFamilies });
  const session = await model.session({ provider: 'webgpu' });
  const rows = [rowOf('inference', await session.providerReport({ pixel_values: pixels }))];
  await session.release();
  for (const useDora of [false, true]) {
    const lora = { targetModules: 'all-linear', useDora };
    const run = await train(model, { task: noise, lora, steps: 2, batchSize: BATCH, provider: 'webgpu' });
    const what = `a training step, ${useDora ? 'DoRA' : 'LoRA'} on all linear layers`;
    rows.push(rowOf(what, await run.providerReport()));
    await run.done;
  }
  return rows;
}

function rowOf(what: string, { nodes, fallenBack }: ProviderReport): string {
  const of = (wanted: string): string => {
    const ops = fallenBack.filter(({ reason }) => reason === wanted).map(({ op }) => op);
    const counted = [...new Set(ops)].map((op) => [op, ops.filter((each) => each === op).length] as const);
    return counted.map(([op, count]) => `\`${op}\`${count > 1 ? ` (${count})` : ''}`).join(', ') || '–';
  };
  return `| ${what} | ${nodes['webgpu']} | ${nodes['cpu'] ?? 0} | ${of('shape-arithmetic')} | ${of('no-kernel')} |`;
}
