/** @file Embeddings before and after training, in two dimensions, for the report. */

import { matrix } from '../../../linalg/matrix.ts';
import type { Tensor } from '../../../runtime/tensor.ts';
import type { ReportRequest } from '../../preparedTask.ts';
import type { ReportSection } from '../../reportSection.ts';
import { batchesOf, type BatchSource, evenlySpaced } from '../batches.ts';
import { joinRows } from './joinRows.ts';
import { project } from './projection.ts';
import type { EmbeddingsOf } from './retrievalMetrics.ts';
import { unitTensor } from './rows.ts';

/** More points than these hide each other. */
const mostExamples = 500;
/** Kinds with a colour of their own; the rest share one. */
const mostKinds = 10;

/** What a scatter is drawn from. */
export interface ScatterRequest<Example> extends BatchSource<Example> {
  /** The number of each example's label. */
  readonly labels: readonly number[];
  /** Names of the labels, by number. */
  readonly names: readonly string[];
  /** Makes embeddings `[batch, width]` of the model's outputs. */
  readonly embeddingsOf: EmbeddingsOf;
  /** What examples are called, in the plural: `images`. */
  readonly noun: string;
}

/** Two sections: the embeddings of examples without the adapter, and with it. */
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
  const { dims, data } = unitTensor(joinRows(parts));
  const { points, explained } = project(matrix(dims[0]!, dims[1]!, data as Float32Array));
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

/** The commonest kinds, and all others together. */
function groupsOf(
  labels: readonly number[],
  names: readonly string[],
): { readonly name: string; readonly has: (label: number) => boolean }[] {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  const order = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || a - b);
  // A group of others would hold one kind only where there is one too many.
  const own = order.length <= mostKinds ? order : order.slice(0, mostKinds - 1);
  const groups = own
    .sort((a, b) => a - b)
    .map((label) => ({ name: names[label]!, has: (each: number) => each === label }));
  if (own.length === order.length) return groups;
  return [...groups, { name: `${order.length - own.length} others`, has: (each) => !own.includes(each) }];
}
