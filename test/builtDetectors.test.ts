/** @file Detectors built from checkpoints learn objects, and give what torch's exports of them give. */

import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildPlugin } from '@onnx-lora/build';
import { attachHead, evaluate, float32, merge, openModel, train } from '@onnx-lora/sdk';
import { type ImageRecord, objectDetection, visionPlugin } from '@onnx-lora/vision';
import sharp from 'sharp';
import { afterAll, expect, test } from 'vitest';

const plugins = [visionPlugin, buildPlugin];
const root = mkdtempSync(path.join(tmpdir(), 'onnx-lora-built-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A picture with a bright square. */
async function scene(i: number): Promise<ImageRecord> {
  const [x, y] = [4 + 5 * i, 30 - 3 * i];
  const data = new Uint8Array(64 * 64 * 3).fill(30);
  for (let row = y; row < y + 20; row++)
    for (let column = x; column < x + 24; column++) data[3 * (row * 64 + column) + (i % 3)] = 230;
  const file = path.join(root, `${i}.png`);
  await sharp(data, { raw: { width: 64, height: 64, channels: 3 } })
    .png()
    .toFile(file);
  return { file, place: file, objects: [{ category: `LABEL_${i % 3}`, box: [x, y, x + 24, y + 20] }] };
}

function detectorIn(name: string): string {
  const folder = path.join(root, name);
  cpSync(path.join(import.meta.dirname, '../packages/build/fixtures', name), folder, { recursive: true });
  const size = { height: 64, width: 64 };
  const preprocessor = { image_processor_type: 'DetrImageProcessor', size, do_pad: false };
  writeFileSync(path.join(folder, 'preprocessor_config.json'), JSON.stringify(preprocessor));
  return folder;
}

test.each([
  'yolos',
  'rt-detr',
  'rt-detr-v2',
  'd-fine',
  'conditional-detr',
  'deformable-detr-refined',
  'detr-auxiliary',
  'rf-detr',
])('%s learns boxes from its checkpoint', async (name) => {
  const model = await openModel(detectorIn(name), { plugins });
  const records = await Promise.all(Array.from({ length: 6 }, (_, i) => scene(i)));
  const run = await train(model, { task: objectDetection(records), steps: 12, batchSize: 6, lr: 5e-3, seed: 1 });
  const losses: number[] = [];
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  expect(losses.at(-1)! / losses[0]!).toBeLessThan(0.95);
});

test.each(['conditional-detr', 'detr-auxiliary', 'rf-detr'])(
  'new classes of %s get one head for all decoder layers',
  async (name) => {
    const model = await openModel(detectorIn(name), { plugins });
    const labels = ['LABEL_0', 'LABEL_1', 'LABEL_2', 'star'];
    const records = await Promise.all(Array.from({ length: 6 }, (_, i) => scene(i)));
    const task = objectDetection(records, { labels });
    const { head } = await task.prepare(model);
    expect(head).toMatchObject({ output: 'logits', alsoOutput: 'aux_logits' });
    // Without weights, scores are the bias.
    const bias = head!.labels.map((_, i) => i - 1.5);
    const width = name === 'rf-detr' ? 16 : (model.config!['d_model'] as number);
    const values = { weight: new Float32Array(bias.length * width), bias: Float32Array.from(bias) };
    const { model: headed, modules } = attachHead(model, head!, { values });
    expect(modules).toEqual([name === 'rf-detr' ? 'class_embed' : 'class_labels_classifier']);
    const session = await headed.session();
    const outputs = await session.run({ pixel_values: float32(new Float32Array(3 * 64 * 64).fill(0.5), [1, 3, 64, 64]) }); // prettier-ignore
    await session.release();
    for (const output of ['logits', 'aux_logits'])
      outputs[output]!.data.forEach((value, i) => expect(Number(value)).toBeCloseTo(bias[i % bias.length]!, 5));
    const lora = { r: 2, targetModules: 'all-linear' } as const;
    const { adapter } = await (await train(model, { task, lora, steps: 2, batchSize: 6, lr: 1e-2, seed: 0 })).done;
    expect(adapter.config.modulesToSave).toEqual(modules);
    const { metrics } = await evaluate(model, { task, adapter });
    await merge(model, adapter, path.join(root, `${name}-merged`));
    const merged = await openModel(path.join(root, `${name}-merged`), { plugins });
    expect((await evaluate(merged, { task })).metrics.map).toBeCloseTo(metrics.map!, 5);
  },
);

test.each(['owlvit', 'owlv2'])('%s, whose classes are texts, is refused with the reason', async (name) => {
  const model = await openModel(detectorIn(name), { plugins });
  const task = objectDetection([await scene(0)], {});
  await expect(task.prepare(model)).rejects.toThrow(/finds what texts say: it reads "input_ids" beside the image/);
});

const detector = path.join(import.meta.dirname, '../../shared/oracle/detection/models/digit-detector');

test.skipIf(!existsSync(detector))('a trained RT-DETR gives the numbers of its export', async () => {
  const folder = path.join(root, 'checkpoint');
  for (const file of ['config.json', 'model.safetensors'])
    cpSync(path.join(detector, file), path.join(folder, file), { recursive: true });
  const [built, exported] = [await openModel(folder, { plugins }), await openModel(path.join(detector, 'onnx/model_aux.onnx'), { plugins })]; // prettier-ignore
  const [, channels, height, width] = exported.inputs['pixel_values']!.dims as number[];
  const size = channels! * height! * width!;
  const pixels = float32(Float32Array.from({ length: 2 * size }, (_, i) => ((i * 7919) % 1000) / 1000), [2, channels!, height!, width!]); // prettier-ignore
  const answers = [];
  for (const model of [built, exported]) {
    const session = await model.session();
    answers.push(await session.run({ pixel_values: pixels }));
    await session.release();
  }
  const [own, theirs] = answers as [(typeof answers)[number], (typeof answers)[number]];
  for (const name of ['logits', 'pred_boxes', 'aux_logits', 'aux_boxes', 'enc_logits', 'enc_boxes']) {
    const wanted = Array.from(theirs[name]!.data, Number);
    const largest = Math.max(...wanted.map(Math.abs));
    wanted.forEach((value, i) => expect(Math.abs(Number(own[name]!.data[i]) - value) / largest).toBeLessThan(1e-5));
  }
});
