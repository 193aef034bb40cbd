/** @file How well images find their captions, and captions their images. */

import type { Feeds, Tensor } from '@onnx-lora/sdk';
import {
  bootstrapDraws,
  type Draws,
  drawsFor,
  joinRows,
  type LabelledMatrix,
  matrixOf,
  meanMeasure,
  type Measure,
  type MetricCollector,
  type MetricsNamed,
  takeRows,
  type QueryScores,
  scoresByQuery,
} from '@onnx-lora/sdk/tasks';
import type { ImageTextPorts } from './imageTextPorts.ts';

/** What is measured of images and texts: of how many the other is among the first k. */
export type ImageTextScores = MetricsNamed<`${'imageToText' | 'textToImage'}@${1 | 5 | 10}`>;

/** Collects both embeddings. Targets are `{ images: int64 [batch] }`, the same number for all captions of one image. */
export class ImageTextMetrics implements MetricCollector<ImageTextScores> {
  readonly #ports: ImageTextPorts;
  readonly #images: Tensor[] = [];
  readonly #texts: Tensor[] = [];
  readonly #numbers: number[] = [];

  constructor(ports: ImageTextPorts) {
    this.#ports = ports;
  }

  update(outputs: Readonly<Record<string, Tensor>>, targets: Feeds): void {
    this.#images.push(outputs[this.#ports.imageEmbeds]!);
    this.#texts.push(outputs[this.#ports.textEmbeds]!);
    for (const image of targets['images']!.data) this.#numbers.push(Number(image));
  }

  /**
   * `imageToText@k`: the share of images with one of their captions among the first k of all; `textToImage@k`: the share of
   * captions with their image among the first k; k is 1, 5, 10.
   */
  result(): ImageTextScores {
    return this.#measure().measure();
  }

  /** The same on sets of images, each with its captions; what they search stays the same. */
  draws(): Draws {
    const { measure, images } = this.#measure();
    return bootstrapDraws(measure, images, { samples: drawsFor(this.#numbers.length) });
  }

  #measure(): { readonly measure: Measure<ImageTextScores>; readonly images: number } {
    const texts: LabelledMatrix = { embeddings: matrixOf(joinRows(this.#texts)), labels: this.#numbers };
    const firsts = this.#numbers.flatMap((image, i) => (this.#numbers.indexOf(image) === i ? [i] : []));
    const labels = firsts.map((i) => this.#numbers[i]!);
    const images: LabelledMatrix = { embeddings: takeRows(matrixOf(joinRows(this.#images)), firsts), labels };
    const places = this.#numbers.map((image) => labels.indexOf(image));
    const toText = meanMeasure(recalls('imageToText', scoresByQuery(images, texts)));
    const toImage = meanMeasure(recalls('textToImage', scoresByQuery(texts, images)));
    return {
      measure: (times) => ({ ...toText(times), ...toImage(times && places.map((place) => times[place]!)) }),
      images: firsts.length,
    };
  }
}

function recalls<Name extends string>(
  name: Name,
  { values }: QueryScores,
): Readonly<Record<`${Name}@${1 | 5 | 10}`, readonly number[]>> {
  const renamed = ([1, 5, 10] as const).map((k) => [`${name}@${k}`, values[`recall@${k}`]]);
  return Object.fromEntries(renamed) as ReturnType<typeof recalls<Name>>;
}
