/** @file How well images find their captions, and captions their images. */

import {
  type Feeds,
  joinRows,
  type LabelledMatrix,
  type Matrix,
  matrix,
  type MetricCollector,
  type Metrics,
  type MetricsNamed,
  pickRows,
  retrievalScores,
  type Tensor,
} from '@onnx-lora/sdk';
import type { ImageTextPorts } from './imageTextPorts.ts';

type Recalls<Name extends string> = Readonly<Record<`${Name}@${1 | 5 | 10}`, number>>;

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
    const texts: LabelledMatrix = { embeddings: toMatrix(joinRows(this.#texts)), labels: this.#numbers };
    const firsts = this.#numbers.flatMap((image, i) => (this.#numbers.indexOf(image) === i ? [i] : []));
    const images: LabelledMatrix = {
      embeddings: pickRows(toMatrix(joinRows(this.#images)), firsts),
      labels: firsts.map((i) => this.#numbers[i]!),
    };
    return {
      ...recalls('imageToText', retrievalScores(images, texts)),
      ...recalls('textToImage', retrievalScores(texts, images)),
    };
  }
}

function recalls<Name extends string>(name: Name, scores: Metrics): Recalls<Name> {
  const renamed = Object.fromEntries(
    Object.entries(scores).flatMap(([key, value]) =>
      key.startsWith('recall@') ? [[key.replace('recall', name), value]] : [],
    ),
  );
  return renamed as Recalls<Name>;
}

function toMatrix({ dims, data }: Tensor): Matrix {
  return matrix(dims[0]!, dims[1]!, data as Float32Array);
}
