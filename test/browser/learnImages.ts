/** @file Learns digits from files of images: the same program on a page and in Node. */

import { evaluate, loadAdapter, openModel, openPredictor, train } from '@onnx-lora/sdk';
import { imageClassification, visionPlugin } from '@onnx-lora/vision';

/** Results to compare. */
export interface ImagesLearned {
  readonly losses: readonly number[];
  /** Share of the held-out images that are recognised. */
  readonly accuracy: number;
  /** The label of one image, as the saved adapter reads it. */
  readonly label: string;
  /** Seconds of all steps. */
  readonly seconds: number;
}

/**
 * Trains an adapter and saves it in PEFT's form to `out`.
 * @param folder of the model
 * @param images a folder of images with a folder for each label
 * @param asked an image to read
 */
export async function learnImages(
  folder: string,
  images: string,
  out: string,
  { steps, asked }: { readonly steps: number; readonly asked: string },
): Promise<ImagesLearned> {
  const model = await openModel(folder, { plugins: [visionPlugin] });
  const task = imageClassification(images);
  const losses: number[] = [];
  const run = await train(model, {
    task,
    lora: { r: 8, loraAlpha: 16, targetModules: 'all-linear' },
    steps,
    batchSize: 32,
    lr: 5e-3,
    seed: 7,
  });
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { adapter, seconds } = await run.done;
  await adapter.save(out);
  const { metrics } = await evaluate(model, { task, adapter });
  const predictor = await openPredictor(model, { adapter: await loadAdapter(out) });
  let label = '';
  for await (const { prediction } of predictor.predict(`${images}/${asked}`)) label = String(prediction['label']);
  await predictor.release();
  return { losses, accuracy: metrics['accuracy']!, label, seconds };
}
