/** @file Detection of digits by a small RT-DETR, with the settings of the Python script in this folder. */

import { evaluate, openModel, type PrecisionName, train } from '@onnx-lora/sdk';
import { objectDetection, visionPlugin } from '@onnx-lora/vision';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { peakMb } from './largeModel.ts';

/** Results of one side. */
export interface DetectionFigures {
  /** Mean average precision on the test scenes. */
  readonly before: number;
  readonly after: number;
  /** At an overlap of 50%. */
  readonly after50: number;
  /** Seconds of the training. */
  readonly seconds: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
  /** Peak memory up to the end of the training. */
  readonly peakMb: number;
}

/** As in the Python script. */
const settings = {
  epochs: 20,
  batchSize: 10,
  lr: 3e-3,
  schedule: 'cosine',
  warmupSteps: 20,
  weightDecay: 0.01,
  clip: { norm: 1 },
  threads: 2,
} as const;

/** The program runs from a folder three levels below the project's. */
const shared = fileURLToPath(new URL('../../../../shared/oracle/detection/', import.meta.url));
/** The detector, which knows upright digits, and scenes of turned ones. */
export const detector: string = path.join(shared, 'models/digit-detector');
export const scenes: string = path.join(shared, 'digits/adapt');

/** Adapts linear layers and convolutions with one seed in this process. */
export async function detectionOf(seed: number, precision: PrecisionName = 'float32'): Promise<DetectionFigures> {
  const model = await openModel(detector, { plugins: [visionPlugin], precision });
  const task = objectDetection(scenes, { seed });
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const run = await train(model, { ...settings, task, lora: { r: 8, loraAlpha: 16 }, seed });
  const { adapter } = await run.done;
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  const peak = peakMb();
  const scoresOf = async (measured: object): Promise<Readonly<Record<string, number>>> => {
    const { metrics } = await evaluate(model, { ...measured, task, threads: settings.threads });
    return metrics;
  };
  const [before, after] = [await scoresOf({}), await scoresOf({ adapter })];
  return {
    before: before['map']!,
    after: after['map']!,
    after50: after['map50']!,
    seconds,
    cpu: (used.user + used.system) / 1e6,
    peakMb: peak,
  };
}
