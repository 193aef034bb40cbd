/** @file What draws examples of one kind together, and others apart. */

import { OnnxLoraError } from '../../../errors.ts';
import type { GraphBuilder, Value } from '../../../graph/builder.ts';
import { batchHardTriplet, infoNce, supervisedContrastive } from '../../../train/losses/index.ts';

/** See {@link supervisedContrastive}, {@link batchHardTriplet}, {@link infoNce}. */
export type RetrievalLoss = 'contrastive' | 'triplet' | 'info-nce';

/** Options of tasks that learn what is alike. */
export interface RetrievalLossOptions {
  /** `contrastive` by default. */
  readonly loss?: RetrievalLoss | undefined;
  /** What cosines are divided by; 0.1 by default. Not of triplets. */
  readonly temperature?: number | undefined;
  /** Of triplets: 0.2 by default. */
  readonly margin?: number | undefined;
  /** Examples of one kind that are trained on together; 2 by default. A batch of 32 is then 32 pairs. */
  readonly perGroup?: number | undefined;
}

/**
 * The loss of embeddings `[batch, width]` with labels `[batch]`.
 *
 * @throws OnnxLoraError `CONFIG_INVALID` for options that do not fit
 */
export function retrievalLoss(
  options: RetrievalLossOptions,
): (g: GraphBuilder, embeddings: Value, labels: Value) => Value {
  const { loss = 'contrastive', temperature = 0.1, margin = 0.2, perGroup = 2 } = options;
  check(loss, perGroup);
  if (!(temperature > 0 && temperature < Infinity))
    throw new OnnxLoraError('CONFIG_INVALID', `temperature must be a number above 0, but it is ${temperature}.`);
  if (!(margin >= 0 && margin < Infinity))
    throw new OnnxLoraError('CONFIG_INVALID', `margin must be a number of at least 0, but it is ${margin}.`);
  return (g, embeddings, labels) => {
    if (loss === 'triplet') return batchHardTriplet(g, embeddings, labels, { margin });
    if (loss === 'contrastive') return supervisedContrastive(g, embeddings, labels, { temperature });
    const [left, right] = pairs(embeddings).map((rows) => g.Gather(embeddings, g.ints(rows), 0)) as [Value, Value];
    return infoNce(g, left, right, { temperature });
  };
}

/** Rows that stand first and second in their pairs. */
function pairs({ shape }: Value): [number[], number[]] {
  const rows = Number(shape![0]);
  const half = Array.from({ length: rows / 2 }, (_, i) => 2 * i);
  return [half, half.map((i) => i + 1)];
}

function check(loss: string, perGroup: number): void {
  if (!['contrastive', 'triplet', 'info-nce'].includes(loss)) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `There is no retrieval loss "${loss}". Take contrastive, triplet or info-nce.`,
    );
  }
  if (!Number.isInteger(perGroup) || perGroup < 2) {
    throw new OnnxLoraError('CONFIG_INVALID', `perGroup must be a whole number of at least 2, but it is ${perGroup}.`);
  }
  if (loss === 'info-nce' && perGroup !== 2) {
    throw new OnnxLoraError(
      'CONFIG_INVALID',
      `The loss info-nce compares pairs, but perGroup is ${perGroup}. Leave perGroup out, or take the loss contrastive.`,
    );
  }
}
