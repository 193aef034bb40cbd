/** @file Learns labels of texts from a table: the same program on a page and in Node. */

import { evaluate, openModel, train } from '@onnx-lora/sdk';
import { textClassification, textFamilies } from '@onnx-lora/text';

/** Results to compare. */
export interface TextsLearned {
  readonly losses: readonly number[];
  /** Share of the held-out texts that are classified as they should be. */
  readonly accuracy: number;
}

/**
 * Trains an adapter and saves it in PEFT's form to `out`.
 * @param folder of the model
 * @param table a CSV file with the columns `text` and `label`
 */
export async function learnTexts(folder: string, table: string, out: string, steps: number): Promise<TextsLearned> {
  const model = await openModel(folder, { families: textFamilies });
  const task = textClassification(table, { validation: 0.25 });
  const losses: number[] = [];
  const run = await train(model, { task, lora: { r: 8, targetModules: 'all-linear' }, steps, batchSize: 8, lr: 5e-3, seed: 7 }); // prettier-ignore
  for await (const event of run) if (event.type === 'step') losses.push(event.loss);
  const { adapter } = await run.done;
  await adapter.save(out);
  const { metrics } = await evaluate(model, { task, adapter });
  return { losses, accuracy: metrics['accuracy']! };
}
