/** @file The states of a sequence's tokens, from the rows that it was fed as, and one vector made of them. */

import { OnnxLoraError, type Tensor } from '@onnx-lora/sdk';
import type { TokenRow } from '../sequenceTask.ts';
import type { SequenceFeature, SequencePooling } from './sequenceFeature.ts';

/** What the model gave for a row: outputs `[1, …]`. */
export interface StateRow {
  readonly row: TokenRow;
  readonly found: Readonly<Record<string, Tensor>>;
}

/** States float32 `[count, width]`. */
export interface TokenStates {
  readonly count: number;
  readonly width: number;
  readonly data: Float32Array;
}

/**
 * The states of a sequence's own tokens, without special ones; those that several windows hold are averaged.
 *
 * @throws OnnxLoraError `INPUT_INVALID` for an output of another shape; `LOSS_NOT_FINITE` for values that are no numbers
 */
export function tokenStates(rows: readonly StateRow[], { output }: SequenceFeature): TokenStates {
  const first = Math.min(...rows.map(({ row }) => row.from));
  const count = Math.max(...rows.map(({ row }) => row.from + row.count)) - first;
  const width = rows[0]!.found[output]?.dims[2] ?? 0;
  const data = new Float32Array(count * width);
  const seen = new Uint32Array(count);
  for (const { row, found } of rows) {
    const states = numbersOf(found, output, 3);
    for (let token = 0; token < row.count; token++) {
      const at = row.from - first + token;
      seen[at]!++;
      for (let i = 0; i < width; i++) data[at * width + i]! += states[(row.at + token) * width + i]!;
    }
  }
  for (let at = 0; at < count; at++) {
    if (seen[at]! > 1) for (let i = 0; i < width; i++) data[at * width + i]! /= seen[at]!;
  }
  return { count, width, data };
}

/**
 * One vector of a sequence: the mean of {@link tokenStates}, or the state of its first token, of the first window. A feature that
 * has one vector per row is averaged over windows.
 *
 * @throws OnnxLoraError as {@link tokenStates}; `CONFIG_INVALID` where no special token comes first
 */
export function pooledStates(
  rows: readonly StateRow[],
  feature: SequenceFeature,
  pooling: SequencePooling,
): Float32Array {
  const { output } = feature;
  if (!feature.isPerToken) return meanRow(rows.map(({ found }) => numbersOf(found, output, 2)));
  if (pooling === 'mean') {
    const { count, width, data } = tokenStates(rows, feature);
    return meanRow(
      Array.from({ length: count }, (_, at) => data.subarray(at * width, (at + 1) * width)),
      width,
    );
  }
  const { row, found } = rows[0]!;
  requireFirst(row);
  return numbersOf(found, output, 3).slice(0, found[output]!.dims[2]);
}

/** @throws OnnxLoraError `CONFIG_INVALID` where no special token comes first, whose state could stand for the sequence */
export function requireFirst({ at }: TokenRow): void {
  if (at > 0) return;
  throw new OnnxLoraError(
    'CONFIG_INVALID',
    'The tokenizer puts no token such as <cls> in front of a sequence, so none can stand for it. Take the pool mean.',
  );
}

function meanRow(rows: readonly Float32Array[], width: number = rows[0]!.length): Float32Array {
  const sums = new Float64Array(width);
  for (const row of rows) for (let i = 0; i < width; i++) sums[i]! += row[i]!;
  return Float32Array.from(sums, (sum) => sum / Math.max(1, rows.length));
}

function numbersOf(outputs: Readonly<Record<string, Tensor>>, name: string, rank: number): Float32Array {
  const tensor = outputs[name];
  const data = tensor?.data;
  if (!(data instanceof Float32Array) || tensor!.dims.length !== rank) {
    throw new OnnxLoraError(
      'INPUT_INVALID',
      `Features must be float32 ${rank === 3 ? '[batch, tokens, width]' : '[batch, width]'}, but the session gave ${tensor ? `${tensor.type} [${tensor.dims.join(', ')}]` : 'nothing'} as "${name}". Name another output.`,
    );
  }
  if (data.every(Number.isFinite)) return data;
  throw new OnnxLoraError(
    'LOSS_NOT_FINITE',
    `The features "${name}" hold values that are no numbers. The adapter has probably diverged: train it again with a lower learning rate.`,
  );
}
