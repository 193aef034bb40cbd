/** @file Variants of one length as which letter stands where. */

import { type Matrix, matrix } from '@onnx-lora/sdk';

/** Features of training and held-out variants. */
export interface OneHot {
  readonly train: Matrix;
  readonly validation: Matrix;
}

/**
 * A feature per letter at each place where the training sequences differ: 1 where a sequence has it. What only held-out
 * sequences have is no feature. Undefined where sequences are of several lengths, or all alike.
 */
export function oneHot(train: readonly string[], validation: readonly string[]): OneHot | undefined {
  const length = train[0]?.length;
  if (length === undefined || [...train, ...validation].some((sequence) => sequence.length !== length))
    return undefined;
  const columns = new Map<string, number>();
  for (let place = 0; place < length; place++) {
    const letters = new Set(train.map((sequence) => sequence[place]!));
    if (letters.size > 1) for (const letter of letters) columns.set(place + letter, columns.size);
  }
  if (columns.size === 0) return undefined;
  const encoded = (sequences: readonly string[]): Matrix => {
    const result = matrix(sequences.length, columns.size);
    sequences.forEach((sequence, i) => {
      for (let place = 0; place < length; place++) {
        const column = columns.get(place + sequence[place]!);
        if (column !== undefined) result.data[i * columns.size + column] = 1;
      }
    });
    return result;
  };
  return { train: encoded(train), validation: encoded(validation) };
}
