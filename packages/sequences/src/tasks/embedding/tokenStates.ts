/** @file Token states of a model, pooled to one vector: in predictors, batches and graphs. */

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

/** How one vector is made of the states of tokens: their mean without special tokens, or the state of the first, `<cls>`. */
export type SequencePooling = 'mean' | 'first';

/** The same, where the mean may also be over `all` tokens, special ones too, or each number be the largest (`max`) of them. */
export type TokenPooling = SequencePooling | 'all' | 'max';

/** Where embeddings come from. */
export interface FeatureOptions {
  /**
   * The graph output that is the feature; `before-head` is what the head reads. By default `sentence_embedding` where there is
   * no `pool` either, `last_hidden_state`, or else `before-head`.
   */
  readonly output?: string | undefined;
  /** By default what `modules.json` of sentence-transformers says where there is no `output` either; else `mean`. */
  readonly pool?: SequencePooling | undefined;
}

/** Whether a feature has a vector for each token. */
export function isPerToken({ port }: Feature): boolean {
  return port.dims?.length !== 2;
}

/** @throws OnnxLoraError `CONFIG_INVALID` where the feature has one vector for the whole sequence */
export function requirePerToken(feature: Feature): void {
  if (isPerToken(feature)) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    `"${feature.output}" has one vector per sequence and none for its residues. Name an output of [batch, tokens, width].`,
  );
}

/** What the model gave for a row: outputs `[1, …]`. */
export type StateRow = Pick<AnsweredRow<TokenRow, Outputs>, 'row' | 'found'>;

/**
 * The states of a sequence's own tokens, without special ones; those that several windows hold are averaged.
 * @throws OnnxLoraError as `featureTensor`
 */
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
 * One vector of a sequence: the mean of {@link tokenStates}, the mean or the largest numbers of all tokens of its windows, or the
 * state of its first token, of the first window. A feature that has one vector per row is averaged over windows.
 * @throws OnnxLoraError as {@link tokenStates}; `CONFIG_INVALID` where no special token comes first
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

/** States of all tokens without padding. */
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
 * Which tokens of each row count: of the mean those of the sequence, and no special ones unless there are no others; of `all` and
 * `max` all but padding.
 * @throws OnnxLoraError `CONFIG_INVALID` where no special token comes first, whose state could stand for the sequence
 */
export function pooledTokens(rows: readonly TokenRow[], pool: TokenPooling): Feeds {
  if (pool === 'first') rows.forEach(requireFirst);
  const places = rows.map(({ ids, at, count }) =>
    pool === 'first' ? [0, 1] : pool !== 'mean' || count === 0 ? [0, ids.length] : [at, at + count],
  );
  return Object.fromEntries([FROM, TO].map((name, i) => [name, int64(places.map((place) => place[i]!), [rows.length])])); // prettier-ignore
}

/** Embeddings `[batch, width]` of a batch whose targets are {@link pooledTokens}. */
export function embeddingsBy({ output }: Feature, pool: TokenPooling): EmbeddingsOf {
  return (outputs, targets) =>
    pooledRows(outputs, output, {
      kind: pool === 'max' ? 'max' : 'mean',
      places: (row) => [Number(targets[FROM!]!.data[row]), Number(targets[TO!]!.data[row])],
    });
}

/** The same as a graph fragment. */
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

/** @throws OnnxLoraError `CONFIG_INVALID` where no special token comes first, whose state could stand for the sequence */
function requireFirst({ at }: TokenRow): void {
  if (at > 0) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'The tokenizer puts no token such as <cls> in front of a sequence, so none can stand for it. Take the pool mean.',
  );
}
