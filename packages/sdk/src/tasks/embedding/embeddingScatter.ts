/** @file Report sections with embeddings in two dimensions, before and after training. */

import { leadingSvd } from '../../linalg/leadingSvd.ts';
import { type Matrix, matmul, matrix } from '../../linalg/matrix.ts';
import { Random } from '../../runtime/random.ts';
import type { Tensor } from '../../runtime/tensor.ts';
import type { ReportRequest } from '../../plugin/preparedTask.ts';
import type { ReportSection } from '../../plugin/reportSection.ts';
import { batchesOf, type BatchSource, evenlySpaced } from '../batches.ts';
import { columnMeans, minusRow } from '../probe/ridge.ts';
import type { EmbeddingsOf } from './retrievalScores.ts';
import { joinRows, matrixOf, l2Normalize } from './rows.ts';

/** More points would hide each other. */
const mostExamples = 500;
/** Labels with their own colour; the rest share one. */
const mostKinds = 10;

/** Examples of a scatter plot. */
export interface ScatterRequest<Example> extends BatchSource<Example> {
  /** Index of each example's label. */
  readonly labels: readonly number[];
  /** Names of the labels. */
  readonly names: readonly string[];
  /** Makes embeddings `[batch, width]` from the model's outputs. */
  readonly embeddingsOf: EmbeddingsOf;
  /** Examples in the plural: `images`. */
  readonly noun: string;
}

/** Two scatter plots: embeddings without and with the adapter. */
export async function embeddingScatter<Example>(
  { dataset, collate, labels, names, embeddingsOf, noun }: ScatterRequest<Example>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<readonly ReportSection[]> {
  const chosen = evenlySpaced(dataset.length, mostExamples);
  const parts: Record<'base' | 'adapted', Tensor[]> = { base: [], adapted: [] };
  for await (const { batch } of batchesOf({ dataset, collate }, request.batchSize, chosen)) {
    for (const which of ['base', 'adapted'] as const)
      parts[which].push(embeddingsOf(await request.run(batch.inputs, which), batch.targets));
  }
  const own = chosen.map((index) => labels[index]!);
  return [
    scatter('Embeddings before training', parts.base, own, names, noun),
    scatter('Embeddings after training', parts.adapted, own, names, noun),
  ];
}

function scatter(
  title: string,
  parts: readonly Tensor[],
  labels: readonly number[],
  names: readonly string[],
  noun: string,
): ReportSection {
  const { points, explained } = project(l2Normalize(matrixOf(joinRows(parts))));
  const groups = groupsOf(labels, names);
  return {
    kind: 'scatter',
    title,
    text: `${points.length} ${noun} in the plane in which their embeddings differ most (principal components).`,
    x: `${(100 * explained[0]).toFixed(0)}% of the variance`,
    y: `${(100 * explained[1]).toFixed(0)}% of the variance`,
    series: groups.map(({ name, has }) => ({ name, points: points.filter((_, i) => has(labels[i]!)) })),
  };
}

function groupsOf(
  labels: readonly number[],
  names: readonly string[],
): { readonly name: string; readonly has: (label: number) => boolean }[] {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const order = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || a - b);
  // The group "others" always has more than one label.
  const own = order.length <= mostKinds ? order : order.slice(0, mostKinds - 1);
  const groups = own
    .sort((a, b) => a - b)
    .map((label) => ({ name: names[label]!, has: (each: number) => each === label }));
  if (own.length === order.length) return groups;
  return [...groups, { name: `${order.length - own.length} others`, has: (each) => !own.includes(each) }];
}

/** A projection to two dimensions. */
export interface Projection {
  /** A point per row: `[x, y]`. */
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Fraction of the variance along each axis. */
  readonly explained: readonly [x: number, y: number];
}

/** Projects onto two principal components. An axis points to its largest one, so that pictures are reproducible. */
export function project(rows: Matrix): Projection {
  const centred = minusRow(rows, columnMeans(rows));
  const { S, V } = leadingSvd(centred, 2, new Random(0));
  const axes = matrix(rows.columns, 2);
  for (let c = 0; c < Math.min(2, V.columns); c++) {
    let top = 0;
    for (let i = 0; i < V.rows; i++) {
      const value = V.data[i * V.columns + c]!;
      if (Math.abs(value) > Math.abs(top)) top = value;
    }
    for (let i = 0; i < V.rows; i++) axes.data[2 * i + c] = Math.sign(top) * V.data[i * V.columns + c]!;
  }
  const { data } = matmul(centred, axes);
  const total = centred.data.reduce((sum, value) => sum + value * value, 0) || 1;
  const share = (at: number): number => (S[at] ?? 0) ** 2 / total;
  return {
    points: Array.from({ length: rows.rows }, (_, i) => [data[2 * i]!, data[2 * i + 1]!] as const),
    explained: [share(0), share(1)],
  };
}
