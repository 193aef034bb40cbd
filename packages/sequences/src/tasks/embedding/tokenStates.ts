/** @file Pooling of token states to one vector, in predictors, batches and graphs. */

import { type Feeds, int64, OnnxLoraError } from '@onnx-lora/sdk';
import {
  type AnsweredRow,
  type EmbeddingsOf,
  type Feature,
  featureTensor,
  type GraphBuilder,
  maxOfPlaces,
  meanOfPlaces,
  type Outputs,
  pooledRows,
  type Value,
} from '@onnx-lora/sdk/tasks';
import type { TokenRow } from '../sequenceTask.ts';

/** Pooling of token states: `mean` without special tokens, or the state of the `first` token, `<cls>`. */
export type SequencePooling = 'mean' | 'first';

/** Pooling that may also be the mean of `all` tokens with special ones, or their element-wise maximum, `max`. */
export type TokenPooling = SequencePooling | 'all' | 'max';

/** Options of the embedded feature. */
export interface FeatureOptions {
  /**
   * Graph output of the feature, or `before-head` for the head's input. By default `sentence_embedding` (unless `pool`
   * is given), `last_hidden_state` or `before-head`, the first that exists.
   */
  readonly output?: string | undefined;
  /** Pooling; without `output` by default that of sentence-transformers' `modules.json`, otherwise `mean`. */
  readonly pool?: SequencePooling | undefined;
}

/** Whether a feature has a vector per token. */
export function isPerToken({ port }: Feature): boolean {
  return port.dims?.length !== 2;
}

/** @throws OnnxLoraError `CONFIG_INVALID` if the feature is one vector per sequence */
export function requirePerToken(feature: Feature): void {
  if (isPerToken(feature)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${feature.output}" has one vector per sequence and none for its residues. Name an output of [batch, tokens, width].`,
  );
}

/** Outputs `[1, …]` of a row. */
export type StateRow = Pick<AnsweredRow<TokenRow, Outputs>, 'row' | 'found'>;

/** States of a sequence's tokens without special ones, averaged over overlapping windows. */
export function tokenStates(rows: readonly StateRow[], { output }: Feature): Float32Array[] {
  const first = Math.min(...rows.map(({ row }) => row.from));
  const count = Math.max(...rows.map(({ row }) => row.from + row.count)) - first;
  const found: Float32Array[][] = Array.from({ length: count }, () => []);
  for (const { row, found: outputs } of rows) {
    const { data, dims } = featureTensor(outputs, output, [3]);
    const width = dims[2]!;
    for (let token = 0; token < row.count; token++)
      found[row.from - first + token]!.push(data.slice((row.at + token) * width, (row.at + token + 1) * width));
  }
  return found.map((states) => (states.length === 1 ? states[0]! : meanOf(states)));
}

/**
 * Pools a sequence to one vector: the mean of {@link tokenStates}, the mean or maximum of all tokens of its windows, or
 * the first token of the first window. A feature with one vector per row is averaged over windows.
 * @throws OnnxLoraError like {@link tokenStates}; `CONFIG_INVALID` for `first` without a special token in front
 */
export function pooledStates(rows: readonly StateRow[], feature: Feature, pool: TokenPooling): Float32Array {
  const { output } = feature;
  if (!isPerToken(feature)) return meanOf(rows.map(({ found }) => featureTensor(found, output, [2]).data));
  const own = pool === 'mean' ? tokenStates(rows, feature) : [];
  if (own.length > 0) return meanOf(own);
  // Empty texts have special tokens only.
  if (pool !== 'first') return (pool === 'max' ? maxOf : meanOf)(rows.flatMap((row) => allStates(row, feature)));
  const { row, found } = rows[0]!;
  requireFirst(row);
  const { data, dims } = featureTensor(found, output, [3]);
  return data.slice(0, dims[2]);
}

function allStates({ row, found }: StateRow, { output }: Feature): Float32Array[] {
  const { data, dims } = featureTensor(found, output, [3]);
  const width = dims[2]!;
  return row.ids.map((_, token) => data.slice(token * width, (token + 1) * width));
}

function meanOf(rows: readonly Float32Array[]): Float32Array {
  const sums = new Float64Array(rows[0]!.length);
  for (const row of rows) for (let i = 0; i < row.length; i++) sums[i]! += row[i]!;
  return Float32Array.from(sums, (sum) => sum / rows.length);
}

function maxOf(rows: readonly Float32Array[]): Float32Array {
  return Float32Array.from(rows[0]!, (_, i) => rows.reduce((most, row) => Math.max(most, row[i]!), -Infinity));
}

/** Targets with the pooled span `[from, to)` of each row, int64 `[batch]`. */
const [FROM, TO] = ['from', 'to'];

/**
 * The span of tokens to pool per row: for `mean` the sequence without special tokens (unless it is empty); for `all`
 * and `max` all but padding.
 * @throws OnnxLoraError `CONFIG_INVALID` for `first` without a special token in front
 */
export function pooledTokens(rows: readonly TokenRow[], pool: TokenPooling): Feeds {
  if (pool === 'first') rows.forEach(requireFirst);
  const places = rows.map(({ ids, at, count }) =>
    pool === 'first' ? [0, 1] : pool !== 'mean' || count === 0 ? [0, ids.length] : [at, at + count],
  );
  return Object.fromEntries([FROM, TO].map((name, i) => [name, int64(places.map((place) => place[i]!), [rows.length])])); // prettier-ignore
}

/** Embeddings `[batch, width]` of a batch with targets from {@link pooledTokens}. */
export function embeddingsBy({ output }: Feature, pool: TokenPooling): EmbeddingsOf {
  return (outputs, targets) =>
    pooledRows(outputs, output, {
      kind: pool === 'max' ? 'max' : 'mean',
      places: (row) => [Number(targets[FROM!]!.data[row]), Number(targets[TO!]!.data[row])],
    });
}

/** {@link embeddingsBy} as a graph fragment. */
export function embeddingValue(
  g: GraphBuilder,
  outputs: Readonly<Record<string, Value>>,
  targets: Readonly<Record<string, Value>>,
  { output }: Feature,
  pool: TokenPooling,
): Value {
  const pooled = pool === 'max' ? maxOfPlaces : meanOfPlaces;
  return pooled(g, outputs[output]!, () => ({ from: targets[FROM!], to: targets[TO!]! }));
}

/** @throws OnnxLoraError `CONFIG_INVALID` without a special token in front that represents the sequence */
function requireFirst({ at }: TokenRow): void {
  if (at > 0) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'The tokenizer puts no token such as <cls> in front of a sequence, so none can stand for it. Take the pool mean.',
  );
}
