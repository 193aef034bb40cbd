/** @file The check of a detector: it learns its own kind of loss on drawn scenes, and its answers hold the stamps. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { evaluate, type ModuleInfo, openModel, train } from '@onnx-lora/sdk';
import { Random } from '@onnx-lora/sdk/data';
import { type ImageRecord, objectDetection, visionPlugin } from '@onnx-lora/vision';
import sharp from 'sharp';
import type { DetectsOptions } from './models.ts';

/** Stamps by name: whether a point of the square from -0.5 to 0.5 belongs to one. */
const stamps: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  disc: (x, y) => x * x + y * y < 0.25,
  square: () => true,
  cross: (x, y) => Math.abs(x) < 0.15 || Math.abs(y) < 0.15,
};

/** Findings of the check. */
export interface DetectsReport {
  /** Mean loss of the first five steps and of the last five. */
  readonly loss: readonly [first: number, last: number];
  /** Average precision at an overlap of half, before and after. */
  readonly map50: readonly [before: number, after: number];
}

/** A scene of two stamps on noise. */
async function scene(folder: string, i: number, [height, width]: DetectsOptions['size']): Promise<ImageRecord> {
  const random = new Random(i + 1);
  const data = Uint8Array.from({ length: height * width * 3 }, () => 60 + 40 * random.next());
  const objects = [0, 1].map((half) => {
    const size = Math.round(Math.min(height, width) * random.uniform(0.2, 0.35));
    const [left, top] = [Math.floor((half * width) / 2 + random.next() * (width / 2 - size)), Math.floor(random.next() * (height - size))]; // prettier-ignore
    const [category, isInside] = Object.entries(stamps)[random.index(3)]!;
    const color = [200 + 55 * random.next(), 200 * random.next(), 200 * random.next()];
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++)
        if (isInside((x + 0.5) / size - 0.5, (y + 0.5) / size - 0.5))
          data.set(color, 3 * ((top + y) * width + left + x));
    return { category, box: [left, top, left + size, top + size] as const };
  });
  const file = path.join(folder, `${i}.png`);
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
  return { file, place: file, objects };
}

/** Problems of a detector that learns eight scenes, or is to be refused; and what was found. */
export async function checkDetects(
  file: string,
  isWhole: (module: ModuleInfo) => boolean,
  { size, steps = 40, batch = 4, normalize = false, refused }: DetectsOptions,
): Promise<{ readonly problems: readonly string[]; readonly report?: DetectsReport }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'onnx-lora-wild-detects-'));
  try {
    mkdirSync(path.join(folder, 'model'));
    copyFileSync(file, path.join(folder, 'model/model.onnx'));
    const [height, width] = size;
    const preprocessor = {
      image_processor_type: 'ViTImageProcessor',
      size: { height, width },
      do_normalize: normalize,
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
    };
    writeFileSync(path.join(folder, 'model/preprocessor_config.json'), JSON.stringify(preprocessor));
    const records = await Promise.all(Array.from({ length: 8 }, (_, i) => scene(folder, i, size)));
    const model = await openModel(path.join(folder, 'model'), { plugins: [visionPlugin] });
    const task = objectDetection({ root: folder, train: records, validation: records });
    if (refused !== undefined) {
      const said = await Promise.resolve(task.prepare(model)).then(
        () => 'it is taken',
        (error: Error) => error.message,
      );
      return { problems: said.includes(refused) ? [] : [`it is not refused with "${refused}": ${said}`] };
    }
    const before = await evaluate(model, { task, batchSize: batch });
    const lora = { r: 8, loraAlpha: 16, targetModules: isWhole };
    const run = await train(model, { task, lora, steps, batchSize: batch, lr: 2e-3, schedule: 'constant', warmupSteps: 0, seed: 1 }); // prettier-ignore
    const losses: number[] = [];
    for await (const event of run) if (event.type === 'step') losses.push(event.loss);
    const { adapter } = await run.done;
    const after = await evaluate(model, { task, adapter, batchSize: batch });
    const mean = (part: readonly number[]): number => part.reduce((sum, each) => sum + each, 0) / part.length;
    const loss = [mean(losses.slice(0, 5)), mean(losses.slice(-5))] as const;
    const map50 = [before.metrics.map50, after.metrics.map50] as const;
    return {
      problems: [
        ...(loss[1] < 0.6 * loss[0] ? [] : [`the loss goes from ${loss[0].toFixed(3)} to ${loss[1].toFixed(3)}`]),
        ...(map50[1] > map50[0] + 0.3 ? [] : [`mAP50 goes from ${map50[0].toFixed(3)} to ${map50[1].toFixed(3)}`]),
      ],
      report: { loss, map50 },
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
