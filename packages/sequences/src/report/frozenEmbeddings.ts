/** @file What the base without an adapter makes of sequences: the means of its hidden states, for baselines. */

import { type Batch, batchesOf, featureTensor, type ReportRequest, type TaskModel } from '@onnx-lora/sdk/tasks';
import { type Matrix, matrix } from '@onnx-lora/sdk/plugin';
import type { SequenceRecord } from '../record.ts';
import type { SequenceDataset, SequenceExample } from '../tasks/sequenceTask.ts';

/** The name of the value that embeddings are made of: hidden states of tokens, or what the head reads; undefined without one. */
export function hiddenOutput(model: TaskModel): string | undefined {
  return model.outputs['last_hidden_state'] ? 'last_hidden_state' : model.featuresOf?.('logits')?.name;
}

/** Whether the report compares. */
export interface BaselineOptions {
  /**
   * Whether the report of a run compares LoRA with baselines on frozen embeddings, for which the base reads all sequences once,
   * 5,000 of the training sequences at most; true by default.
   */
  readonly baselines?: boolean | undefined;
}

/** What embeddings are made of. */
export interface FrozenRequest<Target, R extends SequenceRecord = SequenceRecord> {
  /** The sequences. */
  readonly dataset: SequenceDataset<Target, R>;
  /** Makes batches of them. */
  readonly collate: (examples: readonly SequenceExample<Target, R>[]) => Promise<Batch>;
  /** Name of the hidden states, among the task's outputs. */
  readonly hidden: string;
  /** Numbers of the records; all by default. */
  readonly records?: readonly number[] | undefined;
}

/**
 * One row per record, `[records, width]`: the mean over its residues, special tokens and padding left out, and over its windows.
 *
 * @throws OnnxLoraError `INPUT_INVALID` where `hidden` is not float32 `[batch, tokens, width]` or `[batch, width]`
 */
export async function frozenEmbeddings<Target, R extends SequenceRecord>(
  { dataset, collate, hidden, records }: FrozenRequest<Target, R>,
  request: Pick<ReportRequest, 'run' | 'batchSize'>,
): Promise<Matrix> {
  const rows = new Map((records ?? [...dataset.records.keys()]).map((record, row) => [record, row]));
  const wanted = dataset.recordOf.flatMap((record, example) => (rows.has(record) ? [example] : []));
  let sums: Matrix | undefined;
  const counts = new Float64Array(rows.size);
  for await (const { examples, batch } of batchesOf(
    { dataset, collate },
    request.batchSize,
    byLength(wanted, dataset),
  )) {
    const { data, dims } = featureTensor(await request.run(batch.inputs, 'base'), hidden, [2, 3]);
    const width = dims.at(-1)!;
    sums ??= matrix(rows.size, width);
    const tokens = dims.length === 3 ? dims[1]! : 1;
    for (const [i, { index, record, row }] of examples.entries()) {
      const at = rows.get(index)!;
      // Of a pair both sequences, and what separates them.
      const end = record.second === undefined ? row.at + row.count : row.ids.length - 1;
      const [from, to] = dims.length === 3 ? [row.at, end] : [0, 1];
      counts[at]! += to - from;
      for (let token = from; token < to; token++) {
        const start = (i * tokens + token) * width;
        for (let j = 0; j < width; j++) sums.data[at * width + j]! += data[start + j]!;
      }
    }
  }
  const found = sums ?? matrix(rows.size, 0);
  return { ...found, data: found.data.map((sum, i) => sum / (counts[Math.floor(i / found.columns)]! || 1)) };
}

/** Examples of like length together, so that little is padding. */
function byLength(examples: readonly number[], { lengths }: SequenceDataset<unknown>): readonly number[] {
  return examples.toSorted((a, b) => lengths[a]! - lengths[b]!);
}
