/** @file Answers for images that nobody has labelled. */

import { decodeClasses, labelsOrNumbers, type OutputProcessor, type TaskModel, temperatureOf } from '@onnx-lora/sdk';
import { imageProcessor, type ImageProcessorOptions } from './imageProcessor.ts';

/**
 * Turns image files into what the model is fed, and its outputs into labels. Needs `preprocessor_config.json` in the
 * model's folder. An adapter with labels or a head of its own goes into the model first: `modelFor(model, adapter)`.
 *
 * @example
 * ```ts
 * const classifier = await imageClassifier(model);
 * const outputs = await session.run(await classifier.feeds(['a.png', 'b.png']), { adapter: 'turned' });
 * console.log(classifier.decode(outputs).map(({ label }) => label));
 * ```
 *
 * @throws OnnxLoraError `CONFIG_INVALID` or `MODEL_UNSUPPORTED` when the model is no image classifier; `feeds` throws
 *   `DATA_INVALID` naming an unreadable image
 */
export function imageClassifier(model: TaskModel, options: ImageProcessorOptions = {}): Promise<OutputProcessor> {
  return imageProcessor(model, options, ({ output, outputs }) => {
    const labels = labelsOrNumbers(model, outputs);
    return (results) => decodeClasses(results, output, labels, temperatureOf(model));
  });
}
