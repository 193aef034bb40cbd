/** @file Zero-shot classification: the text that describes an image best. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import { matrixOf, type OutputProcessor, l2Normalize, softmaxRows, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type Matrix, matmul } from '@onnx-lora/sdk/plugin';
import { imageFeeds, type ImageReading } from '../../imageTask.ts';
import { type ImageTextPorts, openImageText, textFeeds, usualScale } from './imageTextPorts.ts';

/** Options of {@link zeroShotClassifier}. */
export interface ZeroShotOptions extends ImageReading {
  /** The classes: `['cat', 'dog']`. */
  readonly labels: readonly string[];
  /** The prompt with `{}` for a label; CLIP's `a photo of a {}.` by default. */
  readonly template?: string | undefined;
}

/**
 * A classifier without training: each label becomes a sentence, and the most similar one gives an image's label.
 * Predicts `{ label, score, top }`; CLIP's scores sum to 1, SigLIP's are independent.
 * @example
 * const classifier = await zeroShotClassifier(model, { labels: ['cat', 'dog'] });
 * const answers = classifier.decode(await session.run(await classifier.feeds(['a.jpg'])));
 * @throws OnnxLoraError `CONFIG_INVALID` without labels, for a template without `{}`, or without the preprocessor's or
 *   tokenizer's files; `MODEL_UNSUPPORTED` for another kind of model
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
  const feeds = imageFeeds(model, ports.image, images);
  return {
    feeds: async (files) => ({ ...(await feeds(files)), ...texts }),
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

/** Probabilities of texts: softmax for CLIP, sigmoid for SigLIP. @throws OnnxLoraError `LOSS_NOT_FINITE` */
function similarities(outputs: Readonly<Record<string, Tensor>>, ports: ImageTextPorts): number[][] {
  const { data, columns } = ports.logits === undefined ? cosines(outputs, ports) : matrixOf(outputs[ports.logits]!);
  if (!data.every(Number.isFinite)) {
    throw new OnnxLoraError(
      'LOSS_NOT_FINITE',
      'The model gives similarities that are not finite. The adapter has probably diverged: train it again with a lower learning rate.',
    );
  }
  const likely = ports.sigmoid ? data.map((value) => 1 / (1 + Math.exp(-value))) : softmaxRows(data, columns);
  return Array.from({ length: data.length / columns }, (_, i) => [...likely.subarray(i * columns, (i + 1) * columns)]);
}

function cosines(outputs: Readonly<Record<string, Tensor>>, { imageEmbeds, textEmbeds }: ImageTextPorts): Matrix {
  const [images, texts] = [imageEmbeds, textEmbeds].map((name) => l2Normalize(matrixOf(outputs[name]!)));
  const products = matmul(images!, texts!, { transposeB: true });
  return { ...products, data: products.data.map((value) => usualScale * value) };
}
