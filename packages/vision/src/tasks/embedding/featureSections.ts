/** @file Report sections on a classifier's features: a scatter plot and frozen baselines. */

import type { Tensor } from '@onnx-lora/sdk';
import {
  type Batch,
  batchesOf,
  type Dataset,
  embeddingScatter,
  joinRows,
  type ReportRequest,
  type ReportSection,
} from '@onnx-lora/sdk/tasks';
import { frozenBaselines } from './baselines/frozenBaselines.ts';
import { type Features, imageRows } from './features.ts';

export interface FeatureImages<Example> {
  readonly images: Dataset<Example>;
  readonly labels: readonly number[];
}

export interface FeatureSectionsRequest<Example> {
  readonly features: Features;
  readonly names: readonly string[];
  readonly collate: (examples: readonly Example[]) => Promise<Batch>;
  readonly train: FeatureImages<Example>;
  readonly validation: FeatureImages<Example>;
  /** Accuracy of the adapted model on the validation images; adds the baselines. */
  readonly accuracy?: number | undefined;
  readonly seed: number;
}

/** A scatter plot of embeddings before and after training; with `accuracy`, also baselines on the base's features. */
export async function featureSections<Example>(
  { features, names, collate, train, validation, accuracy, seed }: FeatureSectionsRequest<Example>,
  request: ReportRequest,
): Promise<readonly ReportSection[]> {
  const scatter = await embeddingScatter(
    {
      dataset: validation.images,
      collate,
      labels: validation.labels,
      names,
      embeddingsOf: (outputs) => imageRows(outputs, features),
      noun: 'images',
    },
    request,
  );
  if (accuracy === undefined) return scatter;
  const labelled = async ({ images, labels }: FeatureImages<Example>) => ({
    embeddings: await frozenRows(images, { features, collate }, request),
    labels: labels.map((label) => names[label]!),
  });
  const { knn, linearProbe } = frozenBaselines({
    train: await labelled(train),
    validation: await labelled(validation),
    seed,
  });
  const table: ReportSection = {
    kind: 'table',
    title: 'Beside frozen features',
    baselines: {
      'k nearest neighbours': { metrics: { accuracy: knn.accuracy }, draws: knn.draws },
      'a linear probe': { metrics: { accuracy: linearProbe.accuracy }, draws: linearProbe.draws },
    },
    text: 'The same held-out images, answered without training the model: by the most similar training images, and by a linear layer on frozen features. Both were tuned on training images alone.',
    columns: ['method', 'accuracy', 'chosen'],
    rows: [
      ['k nearest neighbours', rounded(knn.accuracy), `k = ${knn.k}`],
      ['linear probe', rounded(linearProbe.accuracy), `C = ${linearProbe.C}`],
      ['adapter', rounded(accuracy), ''],
    ],
  };
  return [table, ...scatter];
}

function rounded(share: number): number {
  return Number(share.toFixed(4));
}

async function frozenRows<Example>(
  images: Dataset<Example>,
  { features, collate }: Pick<FeatureSectionsRequest<Example>, 'features' | 'collate'>,
  request: ReportRequest,
): Promise<Tensor> {
  const parts: Tensor[] = [];
  for await (const { batch } of batchesOf({ dataset: images, collate }, request.batchSize))
    parts.push(imageRows(await request.run(batch.inputs, 'base'), features));
  return joinRows(parts);
}
