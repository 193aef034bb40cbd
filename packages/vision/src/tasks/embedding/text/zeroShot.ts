/** @file Classes without training: which text describes an image best. */

import { OnnxLoraError, stack, type Tensor } from '@onnx-lora/sdk';
import type { OutputProcessor, TaskModel } from '@onnx-lora/sdk/tasks';
import type { ImageReading } from '../../imageReading.ts';
import { type ImageTextPorts, usualScale } from './imageTextPorts.ts';
import { openImageText } from './openImageText.ts';
import { textFeeds } from './textFeeds.ts';

/** Options of {@link zeroShotClassifier}. */
export interface ZeroShotOptions extends ImageReading {
  /** What images may show: `['cat', 'dog']`. */
  readonly labels: readonly string[];
  /** The sentence that a label is put into at `{}`; `a photo of a {}.` by default, as CLIP's. */
  readonly template?: string | undefined;
}

/**
 * A classifier for labels that nobody has trained: each label becomes a sentence, and an image gets the label whose sentence
 * is most like it. Answers are `{ label, score, top }`; CLIP's scores add up to 1, SigLIP's are each between 0 and 1.
 *
 * @example
 * const classifier = await zeroShotClassifier(model, { labels: ['cat', 'dog'] });
 * const answers = classifier.decode(await session.run(await classifier.feeds(['a.jpg'])));
 *
 * @throws OnnxLoraError `CONFIG_INVALID` without labels, for a template without `{}`, or without the files of the model's
 *   preprocessor and tokenizer; `MODEL_UNSUPPORTED` for another kind of model
 */
export async function zeroShotClassifier(
  model: TaskModel,
  { labels, template = 'a photo of a {}.', ...reading }: ZeroShotOptions,
): Promise<OutputProcessor> {
  if (labels.length === 0) throw new OnnxLoraError('CONFIG_INVALID', 'There are no labels to choose from. Name some: --set labels=cat,dog.'); // prettier-ignore
  if (!template.includes('{}')) {
    throw new OnnxLoraError('CONFIG_INVALID', `The template ${JSON.stringify(template)} has no place for a label. Put {} where it belongs: a photo of a {}.`); // prettier-ignore
  }
  const { ports, images, tokenizer } = await openImageText(model, { cacheBytes: 0, ...reading });
  const prompts = labels.map((label) => tokenizer.encode(template.replaceAll('{}', () => label)));
  const texts = textFeeds(prompts, tokenizer, ports);
  return {
    feeds: async (files) => ({
      [ports.image.name]: stack(await Promise.all(files.map((file) => images.preprocess(file)))),
      ...texts,
    }),
    decode: (outputs) =>
      similarities(outputs, ports).map((scores) => {
        const top = scores
          .map((score, i) => ({ label: labels[i]!, score }))
          .sort((a, b) => b.score - a.score)
          .slice(0, 5);
        return { ...top[0]!, top };
      }),
  };
}

/**
 * For each image how likely each text is to belong to it: softmax over the texts for CLIP, a sigmoid of each for SigLIP.
 *
 * @throws OnnxLoraError `LOSS_NOT_FINITE` when a similarity is NaN or infinite
 */
function similarities(outputs: Readonly<Record<string, Tensor>>, ports: ImageTextPorts): number[][] {
  const rows = ports.logits === undefined ? cosines(outputs, ports) : rowsOf(outputs[ports.logits]!);
  return rows.map((row) => {
    if (!row.every(Number.isFinite)) {
      throw new OnnxLoraError(
        'LOSS_NOT_FINITE',
        'The model gives similarities that are not finite. The adapter has probably diverged: train it again with a lower learning rate.',
      );
    }
    if (ports.sigmoid) return row.map((value) => 1 / (1 + Math.exp(-value)));
    const top = Math.max(...row);
    const exponentials = row.map((value) => Math.exp(value - top));
    const sum = exponentials.reduce((a, b) => a + b, 0);
    return exponentials.map((value) => value / sum);
  });
}

function cosines(outputs: Readonly<Record<string, Tensor>>, { imageEmbeds, textEmbeds }: ImageTextPorts): number[][] {
  const unit = (row: number[]): number[] => {
    const length = Math.hypot(...row) || 1;
    return row.map((value) => value / length);
  };
  const texts = rowsOf(outputs[textEmbeds]!).map(unit);
  return rowsOf(outputs[imageEmbeds]!)
    .map(unit)
    .map((image) => texts.map((text) => usualScale * image.reduce((sum, value, i) => sum + value * text[i]!, 0)));
}

function rowsOf({ dims, data }: Tensor): number[][] {
  const [rows, width] = dims as [number, number];
  return Array.from({ length: rows }, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width), Number));
}
