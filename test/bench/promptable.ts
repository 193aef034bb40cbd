/** @file Promptable segmentation on real images by a small SAM, with the settings of the Python script in this folder. */

import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { promptableSegmentation, readImageData, visionFamilies } from '@onnx-lora/vision';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** Adapted part, and masks in the answer to a prompt. */
export interface PromptableCase {
  readonly where: 'encoder' | 'decoder';
  readonly masks: 'one' | 'several';
  /** Trainings on each side, with the seeds from 0. */
  readonly seeds: number;
}

/** Results of one side. */
export interface PromptableFigures {
  /** Mean IoU on the test images. */
  readonly before: number;
  readonly after: number;
  /** Seconds of the training. */
  readonly seconds: number;
  /** CPU seconds of the training, over all threads. */
  readonly cpu: number;
}

/** Compared cases. */
export const promptableCases: readonly PromptableCase[] = [
  { where: 'encoder', masks: 'one', seeds: 3 },
  { where: 'decoder', masks: 'one', seeds: 3 },
];

/** As in the Python script. */
export const promptableSettings: {
  steps: number;
  batchSize: number;
  lr: number;
  weightDecay: number;
  threads: number;
} = {
  steps: 240,
  batchSize: 12,
  lr: 2e-3,
  weightDecay: 0,
  threads: 2,
};
/** Target modules by adapted part. */
export const promptableTargets: Readonly<Record<PromptableCase['where'], string>> = {
  encoder: String.raw`vision_encoder\.layers\.\d+\.(attn\.(qkv|proj)|mlp\.(lin1|lin2))`,
  decoder: String.raw`mask_decoder\.transformer\..*(q_proj|k_proj|v_proj|out_proj|lin1|lin2)`,
};

/** The program runs from a folder three levels below the project's. */
const project = fileURLToPath(new URL('../../../', import.meta.url));
/** The model, and images with masks and points. */
export const promptableModel: string = path.join(project, 'docs/examples/models/sam-tiny');
export const stamps: string = path.join(project, '../shared/data/stamps');

/** Trains one case with one seed in this process. */
export async function promptableOf({ where, masks }: PromptableCase, seed: number): Promise<PromptableFigures> {
  const sam = await openModel(promptableModel, { families: visionFamilies });
  const data = await readImageData(stamps);
  const loss = { bce: 1, iou: masks === 'one' ? 0 : 1 };
  const task = promptableSegmentation({ ...data, validation: data.test! }, { masks, loss, seed });
  const before = await evaluate(sam, { task, threads: promptableSettings.threads });
  const lora = { r: 8, loraAlpha: 16, targetModules: promptableTargets[where] };
  const run = await train(sam, { ...promptableSettings, task, lora, seed });
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { adapter } = await run.done;
  const [seconds, used] = [(performance.now() - start) / 1000, process.cpuUsage(cpu)];
  const after = await evaluate(sam, { task, adapter, threads: promptableSettings.threads });
  return {
    before: before.metrics['meanIou']!,
    after: after.metrics['meanIou']!,
    seconds,
    cpu: (used.user + used.system) / 1e6,
  };
}
